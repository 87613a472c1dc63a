"""What training minimises."""

import jax
import jax.numpy as jnp
import optax


def compute_sample_loss(states, targets, weights, config):
    """Loss of each grid.

    Args:
        states: float32[N, H, W, CHANNELS]; the first OUTPUT channels are compared with the targets.
        targets: float32[N, H, W, OUTPUT].
        weights: float32[N, H, W], how much each cell counts, zero or one.
        config: the run's configuration (immutable mapping): OUTPUT; LOSS is "mse" or "cross_entropy".

    Returns:
        float32[N].
    """
    # <solution>
    output = states[..., : config["OUTPUT"]]
    if config["LOSS"] == "cross_entropy":
        each = optax.softmax_cross_entropy(output, targets)
    else:
        each = jnp.mean((output - targets) ** 2, axis=-1)
    return jnp.sum(each * weights, axis=(1, 2)) / jnp.maximum(jnp.sum(weights, axis=(1, 2)), 1.0)
    # </solution>


def compute_loss(params, nca, batch, key, config):
    """Loss of one batch, and where its states have come to.

    Args:
        params: parameters of the automaton; the loss is differentiated with respect to them.
        nca: the automaton (see nca.py): ``nca.rollout(params, states, key, steps)`` gives all states.
        batch: Samples (see pool.py) with BATCH rows.
        key: PRNG key.
        config: the run's configuration (immutable mapping): STEPS is how far to go.

    Returns:
        (loss, states): float32[], and float32[BATCH, H, W, CHANNELS] to go on from later.
    """
    # <solution>
    key_noise, key_step = jax.random.split(key)
    history = nca.rollout(params, batch.states, key_noise, config["STEPS"])
    # The states of a random step in the second half, so that the pattern is reached and kept, not passed through.
    count = batch.states.shape[0]
    step = jax.random.randint(key_step, (count,), config["STEPS"] // 2, config["STEPS"])
    chosen = history[step, jnp.arange(count)]
    return jnp.mean(compute_sample_loss(chosen, batch.targets, batch.weights, config)), history[-1]
    # </solution>
