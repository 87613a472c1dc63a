"""Independent PPO on a team's world in one plain file, from environment steps to Adam, for comparisons of speed.

Written as single-file implementations in JAX are (Lu et al. 2022, PureJaxRL; Rutherford et al. 2024, JaxMARL): agents
of all worlds are rows of one batch, a death ends an agent's return, and nothing is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState

from discoenv.kits.marl_jax import environments, teams


class Network(nn.Module):  # type: ignore[misc]
    """Two perceptrons."""

    action_dim: int
    width: int

    @nn.compact  # type: ignore[untyped-decorator]
    def __call__(self, x: jax.Array, available: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Logits float32[N, K] and values float32[N] of observations float32[N, D]."""

        def layer(x: jax.Array, size: int, scale: float) -> jax.Array:
            return nn.Dense(size, kernel_init=nn.initializers.orthogonal(scale))(x)

        actor, critic = x, x
        for _ in range(2):
            actor = nn.tanh(layer(actor, self.width, np.sqrt(2)))
        logits = layer(actor, self.action_dim, 0.01)
        for _ in range(2):
            critic = nn.tanh(layer(critic, self.width, np.sqrt(2)))
        return jnp.where(available, logits, -1e10), layer(critic, 1, 1.0)[:, 0]


class Step(NamedTuple):
    """A step of all agents, [N, ...]."""

    obs: jax.Array
    available: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array


def make_train(config: Mapping[str, Any]) -> Callable[[jax.Array], Any]:  # noqa: PLR0915 - one plain file
    """``train(rng)``, which returns the parameters; ``config`` is a dataset's."""
    env = teams.Restarting(environments.make(config["SUITE"], config["ENV_NAME"], config["OPTIONS"]))
    envs, agents = config["NUM_ENVS"], env.num_agents
    actors, steps = envs * agents, config["NUM_STEPS"]
    updates = config["TOTAL_TIMESTEPS"] // (envs * steps)
    reset, step_env = jax.vmap(env.reset), jax.vmap(env.step)
    network = Network(env.num_actions, config["HSIZE"])

    def rows(x: jax.Array) -> jax.Array:
        return x.reshape(actors, *x.shape[2:])

    def train(rng: jax.Array) -> Any:
        rng, init_rng, reset_rng = jax.random.split(rng, 3)
        obs, env_state = reset(jax.random.split(reset_rng, envs))
        total = updates * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]
        tx = optax.chain(
            optax.clip_by_global_norm(config["MAX_GRAD_NORM"]),
            optax.adam(optax.linear_schedule(config["LR"], 0.0, total), eps=1e-5),
        )
        params = network.init(init_rng, rows(obs.own), rows(obs.available))
        state = TrainState.create(apply_fn=network.apply, params=params, tx=tx)

        def env_step(carry: Any, rng: jax.Array) -> tuple[Any, Step]:
            state, env_state, obs = carry
            action_rng, step_rng = jax.random.split(rng)
            own, available = rows(obs.own), rows(obs.available)
            logits, value = network.apply(state.params, own, available)
            action = jax.random.categorical(action_rng, logits)
            log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=1)[:, 0]
            keys = jax.random.split(step_rng, envs)
            obs, env_state, reward, terminated, truncated, _ = step_env(keys, env_state, action.reshape(envs, agents))
            reward = jnp.repeat(reward * config["REWARD_SCALE"], agents)
            done = jnp.repeat(terminated | truncated, agents) | ~rows(obs.active)
            return (state, env_state, obs), Step(own, available, action, log_prob, value, reward, done)

        def update(carry: Any, rng: jax.Array) -> tuple[Any, None]:
            rollout_rng, shuffle_rng = jax.random.split(rng)
            carry, batch = jax.lax.scan(env_step, carry, jax.random.split(rollout_rng, steps))
            state, env_state, obs = carry
            _, last_value = network.apply(state.params, rows(obs.own), rows(obs.available))

            def gae(carry: Any, step: Step) -> tuple[Any, jax.Array]:
                advantage, next_value = carry
                delta = step.reward + config["GAMMA"] * next_value * ~step.done - step.value
                advantage = delta + config["GAMMA"] * config["GAE_LAMBDA"] * ~step.done * advantage
                return (advantage, step.value), advantage

            start = jnp.zeros(actors), last_value
            _, advantages = jax.lax.scan(gae, start, batch, reverse=True, unroll=8)
            data = jax.tree.map(
                lambda x: x.reshape(steps * actors, *x.shape[2:]), (batch, advantages, advantages + batch.value)
            )

            def minibatch(state: TrainState, part: Any) -> tuple[TrainState, None]:
                step, advantage, target = part

                def loss(params: Any) -> jax.Array:
                    logits, value = network.apply(params, step.obs, step.available)
                    log_p = jax.nn.log_softmax(logits)
                    log_prob = jnp.take_along_axis(log_p, step.action[:, None], axis=1)[:, 0]
                    ratio, epsilon = jnp.exp(log_prob - step.log_prob), config["CLIP_EPS"]
                    scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                    actor = jnp.minimum(ratio * scaled, jnp.clip(ratio, 1 - epsilon, 1 + epsilon) * scaled).mean()
                    near = step.value + jnp.clip(value - step.value, -epsilon, epsilon)
                    critic = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
                    entropy = -jnp.sum(jnp.exp(log_p) * log_p, axis=-1).mean()
                    return -actor + config["VF_COEF"] * critic - config["ENT_COEF"] * entropy

                state = state.apply_gradients(grads=jax.grad(loss)(state.params))
                return state, None

            def epoch(state: TrainState, rng: jax.Array) -> tuple[TrainState, None]:
                order = jax.random.permutation(rng, steps * actors)
                shuffled = jax.tree.map(lambda x: x[order], data)
                parts = jax.tree.map(lambda x: x.reshape(config["NUM_MINIBATCHES"], -1, *x.shape[1:]), shuffled)
                state, _ = jax.lax.scan(minibatch, state, parts)
                return state, None

            state, _ = jax.lax.scan(epoch, state, jax.random.split(shuffle_rng, config["UPDATE_EPOCHS"]))
            return (state, env_state, obs), None

        (state, _, _), _ = jax.lax.scan(update, (state, env_state, obs), jax.random.split(rng, updates))
        return state.params

    return train
