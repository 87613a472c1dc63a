"""A constant learning rate after a linear warm-up (Robbins & Monro 1951 need one that falls; this one does not)."""


def learning_rate(step, config):
    """By what learning rates are multiplied at a step."""
    return min(1.0, (step + 1) / (config["WARM_UP"] * config["STEPS"]))
