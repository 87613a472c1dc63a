"""Selection: which candidates the simulator evaluates."""


def select(candidates, archive, count, rng, config):
    """Choose candidates.

    Args:
        candidates: Elites (see archive.py): K solutions that the emitter has proposed, in the order of proposal, with
            predicted objectives, measures and cells. K is at least 1.
        archive: Archive of evaluated solutions. Do not change it.
        count: int, how many may be evaluated at most.
        rng: numpy.random.Generator, the only source of randomness.
        config: dict, the dataset's config.yaml.

    Returns:
        int64[k], rows of ``candidates``, each at most once; k from 1 to ``count``.
    """
    # <solution>
    # All of them, as a rule; where the budget or the schedule allows fewer, some that are drawn uniformly.
    return rng.permutation(len(candidates.solutions))[:count]
    # </solution>
