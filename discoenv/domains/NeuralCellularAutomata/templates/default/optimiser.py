"""The optimiser."""

import optax


def create_optimizer(config):
    """The optimiser of the parameters, learning rate and sign included.

    Args:
        config: the run's configuration (immutable mapping): LR, LR_DECAY (final over initial learning rate),
            MAX_GRAD_NORM, TRAIN_STEPS (number of updates).

    Returns:
        optax.GradientTransformation.
    """
    # <solution>
    schedule = optax.linear_schedule(config["LR"], config["LR"] * config["LR_DECAY"], config["TRAIN_STEPS"])
    return optax.chain(optax.clip_by_global_norm(config["MAX_GRAD_NORM"]), optax.adam(schedule))
    # </solution>
