"""The same learning rate all along. Andrychowicz et al. 2021."""


def make_schedule_fn(config, lr):
    """``lr`` at every step."""
    return lambda count: lr
