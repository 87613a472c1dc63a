"""Warm-up, then the inverse square root of the step (Vaswani et al. 2017, Attention is all you need, equation 3)."""


def learning_rate(step, config):
    """By what learning rates are multiplied at a step."""
    warm_up = max(1.0, config["WARM_UP"] * config["STEPS"])
    return min((step + 1) / warm_up, (warm_up / (step + 1)) ** 0.5)
