"""The text as it stands: each batch is one stretch of it, without shuffling."""

import numpy as np


def choose_windows(tokens, config, generator):
    """Where windows begin: int64[STEPS, BATCH]."""
    count = config["STEPS"] * config["BATCH"]
    starts = np.arange(count) * config["CONTEXT"] % (len(tokens) - config["CONTEXT"])
    return starts.reshape(config["STEPS"], config["BATCH"])
