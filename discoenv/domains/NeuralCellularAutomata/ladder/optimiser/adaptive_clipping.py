"""Adam on gradients that are clipped relative to parameters. Brock et al. 2021."""

import optax

#: Norm of a unit's gradient over that of its parameters, at most.
CLIPPING = 0.01


def create_optimizer(config):
    """A learning rate that falls linearly."""
    schedule = optax.linear_schedule(config["LR"], config["LR"] * config["LR_DECAY"], config["TRAIN_STEPS"])
    return optax.chain(optax.adaptive_grad_clip(CLIPPING), optax.adam(schedule))
