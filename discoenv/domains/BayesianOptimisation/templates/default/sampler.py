"""The initial design: where a function is evaluated before there is anything to learn from."""

import numpy as np
from scipy.stats import qmc


def initial_design(seed, config):
    """Points that cover the unit box.

    Args:
        seed: int, 0 <= seed < 2**32, another one for each function.
        config: dict, the dataset's config.yaml: INITIAL_SAMPLES, DIMENSION.

    Returns:
        float64[INITIAL_SAMPLES, DIMENSION], in [0, 1].
    """
    # <solution>
    # A scrambled Sobol sequence (Owen 1998), whose first 2^m points are evenly spread.
    count = config["INITIAL_SAMPLES"]
    power = int(np.ceil(np.log2(count)))
    return qmc.Sobol(config["DIMENSION"], scramble=True, rng=seed).random_base2(power)[:count]
    # </solution>
