"""What the baseline of continual learning reaches between a lower and an upper bound."""
