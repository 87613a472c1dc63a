"""Twice the passes over each batch (Andrychowicz et al. 2021, What matters for on-policy methods?)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class TrainState(NamedTuple):
    """The learner: a pytree of arrays. ``params`` are those of the policy that plays and is examined.

    Attributes:
        params: parameters of the network.
        optimizer: state of the optimiser.
    """

    params: Any
    optimizer: Any


def make_train_step(config, network):
    """The learning rule.

    Args:
        config: the run's configuration (immutable mapping): all keys of config.yaml, NUM_UPDATES, MINIBATCH_SIZE.
        network: ``network.apply(params, obs)`` gives (logits float32[..., K], value float32[...]).

    Returns:
        (start, step). ``start(params)`` is the first state, with a field ``params``. ``step(state, rollout, key)`` is
        the state after one update: rollout is a Rollout (see play.py) of [NUM_STEPS, NUM_ENVS], key a JAX key. Shapes
        and dtypes of the state do not change. Both are pure and run inside jit and scan.
    """
    steps = config["NUM_UPDATES"] * 2 * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]
    optimizer = optax.chain(
        optax.clip_by_global_norm(config["MAX_GRAD_NORM"]),
        optax.adam(optax.linear_schedule(config["LR"], 0.0, steps), eps=1e-5),
    )

    def start(params):
        return TrainState(params, optimizer.init(params))

    def advantages(rollout):
        """Generalised advantage estimation (Schulman et al. 2016), from the last step to the first.

        δ_t = r_t + γ V(s_{t+1}) - V(s_t);   Â_t = δ_t + γ λ Â_{t+1};   nothing follows the end of an episode.
        """

        def back(carry, now):
            next_advantage, next_value = carry
            reward, value, ended = now
            goes_on = 1.0 - ended
            delta = reward + config["GAMMA"] * goes_on * next_value - value
            advantage = delta + config["GAMMA"] * config["GAE_LAMBDA"] * goes_on * next_advantage
            return (advantage, value), advantage

        begin = (jnp.zeros_like(rollout.last_value), rollout.last_value)
        record = (rollout.reward, rollout.value, rollout.ended.astype(jnp.float32))
        return jax.lax.scan(back, begin, record, reverse=True, unroll=4)[1]

    def loss(params, batch):
        """Proximal policy optimisation (Schulman et al. 2017) with a clipped value loss and an entropy bonus."""
        obs, action, old_log_prob, old_value, advantage, target = batch
        logits, value = network.apply(params, obs)
        log_pi = jax.nn.log_softmax(logits)
        log_prob = jnp.take_along_axis(log_pi, action[:, None], axis=-1)[:, 0]
        ratio, eps = jnp.exp(log_prob - old_log_prob), config["CLIP_EPS"]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        actor = -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - eps, 1 + eps) * advantage).mean()
        clipped = old_value + jnp.clip(value - old_value, -eps, eps)
        critic = 0.5 * jnp.maximum((value - target) ** 2, (clipped - target) ** 2).mean()
        entropy = -jnp.sum(jnp.exp(log_pi) * log_pi, axis=-1).mean()
        return actor + config["VF_COEF"] * critic - config["ENT_COEF"] * entropy

    def step(state, rollout, key):
        advantage = advantages(rollout)
        record = (rollout.obs, rollout.action, rollout.log_prob, rollout.value, advantage, advantage + rollout.value)
        batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), record)

        def minibatch(state, indices):
            gradients = jax.grad(loss)(state.params, jax.tree.map(lambda x: x[indices], batch))
            updates, inner = optimizer.update(gradients, state.optimizer, state.params)
            return TrainState(optax.apply_updates(state.params, updates), inner), None

        def epoch(state, key):
            order = jax.random.permutation(key, config["NUM_STEPS"] * config["NUM_ENVS"])
            return jax.lax.scan(minibatch, state, order.reshape(config["NUM_MINIBATCHES"], -1))

        return jax.lax.scan(epoch, state, jax.random.split(key, 2 * config["UPDATE_EPOCHS"]))[0]

    return start, step
