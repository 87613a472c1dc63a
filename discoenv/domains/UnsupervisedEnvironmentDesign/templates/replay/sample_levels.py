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
    # Half are random; half are edits of levels in the buffer (ACCEL, Parker-Holder et al. 2022), so that what is just
    # within reach becomes harder step by step. Nothing can be edited in the first cycle: what comes of it scores low.
    random_key, draw_key, edit_key = jax.random.split(key, 3)
    count = config["CANDIDATES"] // 2
    fresh = jax.vmap(env.sample)(jax.random.split(random_key, config["CANDIDATES"] - count))
    parents, _ = draw_levels(draw_key, buffer, count, config)

    def edit(levels, key):
        return jax.vmap(env.mutate)(jax.random.split(key, count), levels), None

    children, _ = jax.lax.scan(edit, parents, jax.random.split(edit_key, config["EDITS"]))
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y]), fresh, children)
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
    # Some levels are random, as in prioritised level replay, where new levels are trained on when they are first seen;
    # the others are from the buffer.
    random_key, draw_key = jax.random.split(key)
    count = round(config["FRESH"] * config["NUM_ENVS"])
    fresh = jax.vmap(env.sample)(jax.random.split(random_key, count))
    drawn, index = draw_levels(draw_key, buffer, config["NUM_ENVS"] - count, config)
    levels = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), fresh, drawn)
    return levels, jnp.concatenate([jnp.full(count, -1), index])
    # </solution>
