"""Pure exploitation: evaluates where the surrogate expects the highest value. Jones 2001."""


def acq_fn(queries, posterior, observations, key, config):
    """The posterior mean, float64[M]."""
    return posterior(queries)[0]
