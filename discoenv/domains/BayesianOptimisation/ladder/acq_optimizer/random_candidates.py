"""The best of many random points, as they are. Bergstra and Bengio 2012."""

import jax


def maximise(acquisition, observations, key, config):
    """Random points of the box and their acquisition values; as many as the baseline's random points and steps."""
    count = config["NUM_CANDIDATES"] + config["NUM_STARTS"] * config["ASCENT_STEPS"]
    candidates = jax.random.uniform(key, (count, config["DIMENSION"]))
    return candidates, acquisition(candidates)
