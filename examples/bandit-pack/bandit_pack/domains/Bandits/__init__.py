"""Bandits: fit a function of one number from a few noisy values."""
