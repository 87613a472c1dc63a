"""Warm-up, then a cosine to a tenth (Hoffmann et al. 2022, Training compute-optimal large language models)."""

import math


def learning_rate(step, config):
    """By what learning rates are multiplied at a step."""
    done = (step + 0.5) / config["STEPS"]
    if done < config["WARM_UP"]:
        return done / config["WARM_UP"]
    return 0.55 + 0.45 * math.cos(math.pi * (done - config["WARM_UP"]) / (1.0 - config["WARM_UP"]))
