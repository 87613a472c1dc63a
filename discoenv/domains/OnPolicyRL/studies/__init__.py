"""How the baselines of on-policy reinforcement learning come to their returns."""
