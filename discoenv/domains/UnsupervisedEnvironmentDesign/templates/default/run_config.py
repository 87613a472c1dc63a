"""The configuration of a run."""

from flax.core import FrozenDict


def get_config(values):
    """The run's configuration: ``values`` (of config.yaml) and what follows from them. It cannot be changed.

    NUM_CYCLES is the number of cycles: each scores CANDIDATES levels and then makes UPDATES training updates of
    NUM_ENVS levels and NUM_STEPS steps. NUM_UPDATES is the number of all updates, MINIBATCH_SIZE the number of
    transitions in a minibatch, ENV_STEPS the number of environment steps that training takes, scoring included.
    """
    batch_size = values["NUM_ENVS"] * values["NUM_STEPS"]
    if batch_size % values["NUM_MINIBATCHES"]:
        raise ValueError("NUM_ENVS * NUM_STEPS must be a multiple of NUM_MINIBATCHES")
    cycles = values["TOTAL_TIMESTEPS"] // (batch_size * values["UPDATES"])
    if cycles < values["CHECKPOINTS"]:
        raise ValueError("TOTAL_TIMESTEPS is too small: there are fewer cycles than CHECKPOINTS")
    scoring = values["CANDIDATES"] * values["ATTEMPTS"] * values["SCORE_STEPS"]
    derived = {
        "NUM_CYCLES": cycles,
        "NUM_UPDATES": cycles * values["UPDATES"],
        "MINIBATCH_SIZE": batch_size // values["NUM_MINIBATCHES"],
        "ENV_STEPS": cycles * (values["UPDATES"] * batch_size + scoring),
    }
    return FrozenDict({**values, **derived})
