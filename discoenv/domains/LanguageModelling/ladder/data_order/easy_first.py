"""A curriculum: windows of frequent pairs of tokens first (Bengio et al. 2009, Curriculum learning)."""

import numpy as np


def choose_windows(tokens, config, generator):
    """Where windows begin: int64[STEPS, BATCH]."""
    count, context = config["STEPS"] * config["BATCH"], config["CONTEXT"]
    starts = generator.permutation(np.arange(0, len(tokens) - context, context))
    starts = np.resize(starts, count)
    pairs = tokens[:-1].astype(np.int64) * config["VOCABULARY"] + tokens[1:]
    _, place, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    cost = np.concatenate([[0.0], np.cumsum(-np.log(counts[place] / len(pairs)))])
    return starts[np.argsort(cost[starts + context - 1] - cost[starts], kind="stable")].reshape(-1, config["BATCH"])
