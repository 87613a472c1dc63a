"""No nonlinearity: the networks are linear. Rajeswaran et al. 2017."""


def get_activation(config):
    """The activation function of the networks."""
    return lambda x: x
