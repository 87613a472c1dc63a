"""No nonlinearity: networks are linear. Rajeswaran et al. 2017."""


def activation(x):
    """float32[...] of x float32[...]."""
    return x
