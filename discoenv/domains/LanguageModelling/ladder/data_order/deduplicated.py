"""Text that comes again is learned from once (Lee et al. 2022, Deduplicating training data)."""

import numpy as np


def choose_windows(tokens, config, generator):
    """Where windows begin: int64[STEPS, BATCH]."""
    count, context = config["STEPS"] * config["BATCH"], config["CONTEXT"]
    length = 24  # tokens; a stretch of so many that is there thrice is a page that comes again
    powers = np.array([pow(1_000_003, k, 2**61 - 1) for k in range(length)], np.uint64)
    hashes = np.zeros(len(tokens) - length + 1, np.uint64)
    for k in range(length):
        hashes += tokens[k : len(tokens) - length + 1 + k].astype(np.uint64) * powers[k]
    _, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    again = np.concatenate([[0], np.cumsum(counts[place] > 50)])
    starts = generator.permutation(np.arange(0, len(tokens) - context - length, context))
    good = starts[again[starts + context] - again[starts] < context // 3]
    return np.resize(good, count).reshape(config["STEPS"], config["BATCH"])
