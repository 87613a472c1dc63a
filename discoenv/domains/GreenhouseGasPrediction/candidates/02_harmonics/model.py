"""Ordinary least squares."""

from sklearn.linear_model import LinearRegression


def make_model(config):
    """A linear model that is fitted to the whole record."""
    return LinearRegression()
