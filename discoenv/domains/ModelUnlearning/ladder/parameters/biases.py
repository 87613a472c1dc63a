"""Biases and gains alone (BitFit, Ben Zaken et al. 2022)."""


def trainable(model, forget, retain, config):
    """Choose what is trained: dict of True, False or a bool tensor, by the parameter's name.

    Args:
        model: the model as it was in the beginning.
        forget, retain: Batches (see network.py) of all texts.
        config: the run's configuration (dict).
    """
    return {name: parameter.ndim == 1 for name, parameter in model.named_parameters()}
