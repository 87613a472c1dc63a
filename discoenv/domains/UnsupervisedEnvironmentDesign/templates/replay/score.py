"""How much a level is worth to train on."""


def score_levels(play, config):
    """Scores of levels, from what the current policy did in them.

    Args:
        play: Play (see play.py) of N levels, arrays with the leading axes [T, A, N]: A attempts side by side of T
            steps. To score candidates A is ATTEMPTS and T is SCORE_STEPS; when the levels of a training update are
            scored again, A is 1 and T is NUM_STEPS.
        config: the run's configuration (immutable mapping): GAMMA, GAE_LAMBDA, MAX_STEPS.

    Returns:
        float32[N], finite; the higher, the better to train on.
    """
    # <solution>
    # Maximum Monte Carlo regret (Jiang et al. 2021, Replay-guided adversarial environment design): the best return that
    # was seen in the level, less what the critic expects: G_max - V(s_t), on average over all steps. Only the last step
    # of an episode has a reward, so its return, undiscounted, is that reward.
    best = play.reward.max(axis=(0, 1))
    return best - play.value.mean(axis=(0, 1))
    # </solution>
