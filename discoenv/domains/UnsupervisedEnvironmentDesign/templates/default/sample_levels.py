"""Where levels come from: what is scored, and what is trained on."""

import jax
import jax.numpy as jnp
from buffer import draw_levels


def propose_levels(key, env, buffer, progress, config):
    """Candidates, to be scored with the current policy and then put into the buffer; called once per cycle.

    Args:
        key: a JAX key.
        env: a world (see worlds/environments.py): ``env.sample(key)`` is a random level, ``env.mutate(key, level)`` a
            small edit of one.
        buffer: the buffer (see buffer.py) before they are put in; in the first cycle it is empty: its scores are -inf.
        progress: float32[], the share of training that is over, from 0 to 1.
        config: the run's configuration (immutable mapping): CANDIDATES, EDITS.

    Returns:
        Levels with the leading axis [CANDIDATES].
    """
    # <solution>
    return jax.vmap(env.sample)(jax.random.split(key, config["CANDIDATES"]))
    # </solution>


def choose_levels(key, env, buffer, progress, config):
    """Levels of one training update.

    Args:
        key, env, progress, config: as above; NUM_ENVS, FRESH.
        buffer: the buffer, with the candidates of this cycle.

    Returns:
        (levels with the leading axis [NUM_ENVS], index int32[NUM_ENVS]): where in the buffer each is from, -1 if it is
        not from there.
    """
    # <solution>
    # Some levels are random, so that the policy does not forget them; the others are from the buffer.
    random_key, draw_key = jax.random.split(key)
    count = round(config["FRESH"] * config["NUM_ENVS"])
    fresh = jax.vmap(env.sample)(jax.random.split(random_key, count))
    drawn, index = draw_levels(draw_key, buffer, config["NUM_ENVS"] - count, config)
    levels = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), fresh, drawn)
    return levels, jnp.concatenate([jnp.full(count, -1), index])
    # </solution>
