"""How the learning rate changes."""


def learning_rate(step, config):
    """By what each optimiser's own learning rate is multiplied at a step.

    Args:
        step: number of the step, 0 to STEPS - 1.
        config: the run's configuration (dict): STEPS, and WARM_UP and COOL_DOWN, shares of the steps.

    Returns:
        float, at least 0.
    """
    done = (step + 0.5) / config["STEPS"]  # a trapezoid (Hägele et al. 2024) that falls for a quarter
    return min(1.0, done / config["WARM_UP"], (1.0 - done) / 0.25)
