"""Warm-up, then straight to zero (Bergsma et al. 2025, Straight to zero)."""


def learning_rate(step, config):
    """By what learning rates are multiplied at a step."""
    done = (step + 0.5) / config["STEPS"]
    return min(done / config["WARM_UP"], (1.0 - done) / (1.0 - config["WARM_UP"]))
