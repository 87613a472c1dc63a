"""Which parameters may change."""


def trainable(model, forget, retain, config):
    """Choose what is trained.

    Args:
        model: the model as it was in the beginning; ``named_parameters()`` names its parameters.
        forget: Batch (see network.py) of all texts to forget.
        retain: Batch of all texts to retain.
        config: the run's configuration (dict): MAX_CHANGED, most numbers of all chosen parameters together.

    Returns:
        dict of True, False or a bool tensor of the parameter's shape (True: this number may change), by the parameter's
        name. What is left out does not change.
    """
    # <solution>
    chosen, left = {}, config["MAX_CHANGED"]
    for name, parameter in reversed(list(model.named_parameters())):  # the last first, should not all of them fit
        if parameter.numel() <= left:
            chosen[name] = True
            left -= parameter.numel()
    return chosen
    # </solution>
