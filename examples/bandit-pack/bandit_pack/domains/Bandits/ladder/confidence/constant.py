"""A constant width, as contextual bandits are used in practice. Li, Chu, Langford and Schapire 2010."""


def confidence(step, horizon, arms):
    """log(1/δ), one number."""
    return 1.0
