"""Bayesian optimisation of black-box functions that only the examiner can evaluate."""
