"""The configuration of a run."""

from flax.core import FrozenDict


def get_config(values):
    """The run's configuration: ``values`` (of config.yaml) and what follows from them. It cannot be changed.

    NUM_UPDATES is the number of rollouts, MINIBATCH_SIZE the number of moments (of all agents) in a minibatch.
    """
    batch_size = values["NUM_ENVS"] * values["NUM_STEPS"]
    if batch_size % values["NUM_MINIBATCHES"]:
        raise ValueError("NUM_ENVS * NUM_STEPS must be a multiple of NUM_MINIBATCHES")
    if values["EVALUATION_EPISODES"] % values["NUM_SEEDS"]:
        raise ValueError("EVALUATION_EPISODES must be a multiple of NUM_SEEDS")
    derived = {
        "NUM_UPDATES": values["TOTAL_TIMESTEPS"] // batch_size,
        "MINIBATCH_SIZE": batch_size // values["NUM_MINIBATCHES"],
    }
    return FrozenDict({**values, **derived})
