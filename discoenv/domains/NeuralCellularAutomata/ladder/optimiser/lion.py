"""Lion: the sign of an interpolated momentum. Chen et al. 2023."""

import optax

#: By how much the learning rate is smaller than that of Adam; 3 to 10 in the paper.
FACTOR = 5.0


def create_optimizer(config):
    """Clipped gradients, and a learning rate that falls linearly."""
    peak = config["LR"] / FACTOR
    schedule = optax.linear_schedule(peak, peak * config["LR_DECAY"], config["TRAIN_STEPS"])
    return optax.chain(optax.clip_by_global_norm(config["MAX_GRAD_NORM"]), optax.lion(schedule, weight_decay=0.0))
