"""How much a level is worth to train on."""

import jax.numpy as jnp


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
    # Learnability p (1 - p) (Rutherford et al. 2024, No regrets), p being the share of episodes that were solved. An
    # episode that is still running counts as failed if none has ended, so that no level is without an estimate.
    solved = jnp.sum(play.solved, axis=(0, 1))
    episodes = jnp.sum(play.ended, axis=(0, 1))
    p = solved / jnp.maximum(episodes, 1)
    return p * (1.0 - p)
    # </solution>
