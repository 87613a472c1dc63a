"""A harm: the learning rate has fallen to a hundredth after a quarter of training, and stays there."""


def learning_rate(step, config):
    """The factor of the learning rates: falls in a straight line."""
    return max(0.01, 1.0 - step / (0.25 * config["STEPS"]))
