"""Selection: which candidates the simulator evaluates."""

import numpy as np


def select(candidates, archive, count, rng, config):
    """Choose candidates.

    Args:
        candidates: Elites (see archive.py): the K solutions of the archive of predictions, with predicted objectives,
            measures and cells. K is at least 1.
        archive: Archive of evaluated solutions. Do not change it.
        count: int, how many may be evaluated at most.
        rng: numpy.random.Generator, the only source of randomness.
        config: dict, the dataset's config.yaml: DIMS; COARSE is a setting of the baseline.

    Returns:
        int64[k], rows of ``candidates``, each at most once; k from 1 to ``count``.
    """
    # <solution>
    # Downsampling (Bhatt et al. 2022, section 4): one candidate, drawn uniformly, of each block of a coarse grid.
    fine, coarse = np.array(config["DIMS"]), np.array(config["COARSE"])
    place = np.stack(np.unravel_index(candidates.cells, tuple(fine)), axis=1) * coarse // fine
    order = rng.permutation(len(place))
    _, first = np.unique(place[order] @ (coarse[1], 1), return_index=True)
    return rng.permutation(order[first])[:count]
    # </solution>
