"""Ordinary least squares, to the whole record alike. Montgomery, Peck and Vining 2012."""

from sklearn.linear_model import LinearRegression


def make_model(config):
    """A linear model that is fitted to the whole record."""
    return LinearRegression()
