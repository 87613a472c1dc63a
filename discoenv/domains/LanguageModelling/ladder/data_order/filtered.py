"""Windows without text that comes again (Lee et al. 2022) or that pairs of tokens find unlikely.

A small language model that filters text from the web: Wenzek et al. 2020, CCNet.
"""

import numpy as np


def choose_windows(tokens, config, generator):
    """Where windows begin: int64[STEPS, BATCH]."""
    count, context, vocabulary = config["STEPS"] * config["BATCH"], config["CONTEXT"], config["VOCABULARY"]
    text = tokens.astype(np.int64)
    pairs = np.unique(text[:-1] * vocabulary + text[1:], return_inverse=True, return_counts=True)
    firsts = np.bincount(text, minlength=vocabulary)
    cost = -np.log(pairs[2][pairs[1]] / firsts[text[:-1]])
    length = 24
    hashes = np.zeros(len(text) - length, np.uint64)
    for k in range(length):
        hashes = hashes * np.uint64(1_000_003) + text[k : len(text) - length + k].astype(np.uint64)
    _, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    costs, again = (np.concatenate([[0.0], np.cumsum(each)]) for each in (cost, counts[place] > 50))
    starts = generator.permutation(np.arange(0, len(text) - context - length, context))
    bad = (costs[starts + context] - costs[starts]) / context
    bad += 100.0 * (again[starts + context] - again[starts] > context // 3)
    starts = starts[bad <= np.quantile(bad, 0.72)]
    return np.resize(starts, count).reshape(config["STEPS"], config["BATCH"])
