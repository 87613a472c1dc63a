"""PyTorch's own values: uniform within 1 / sqrt(inputs) (LeCun et al. 1998, Efficient backprop)."""


def initialise(model, config):
    """Set the parameters of a new network, in place."""
    return None
