"""Which parts of the training text are learned from, and when."""

import numpy as np


def choose_windows(tokens, config, generator):
    """Where the windows of all batches begin.

    Args:
        tokens: integers [N], the training text, documents one after another with the token SEPARATOR before each.
        config: the run's configuration (dict): STEPS, BATCH, CONTEXT, VOCABULARY, SEPARATOR.
        generator: numpy.random.Generator, the source of all randomness.

    Returns:
        int64[STEPS, BATCH], each from 0 to N - CONTEXT - 1. Row k is the batch of step k: the model reads the CONTEXT
        tokens from there on, and learns each one's successor.
    """
    # <solution>
    count, context = config["STEPS"] * config["BATCH"], config["CONTEXT"]
    rounds = []
    while sum(map(len, rounds)) < count:  # each round is one pass without overlaps, from another beginning
        first = generator.integers(min(context, len(tokens) - context))
        rounds.append(generator.permutation(np.arange(first, len(tokens) - context, context)))
    return np.concatenate(rounds)[:count].reshape(config["STEPS"], config["BATCH"])
    # </solution>
