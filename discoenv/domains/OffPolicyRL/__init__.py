"""Off-policy reinforcement learning: its examiner and the environments that policies are examined in."""
