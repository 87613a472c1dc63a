"""What the baseline of Bayesian optimisation reaches beside simpler methods."""
