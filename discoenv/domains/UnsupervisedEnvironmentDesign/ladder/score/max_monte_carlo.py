"""Maximum Monte Carlo regret (Jiang et al. 2021): the best return seen, less what the critic expects."""


def score_levels(play, config):
    """Scores float32[N] of N levels; see Play of play.py for the arrays [T, A, N]."""
    return play.reward.max(axis=(0, 1)) - play.value.mean(axis=(0, 1))
