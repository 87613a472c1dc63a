"""PPO in one file, in the style of functions within functions, on a cart that is to stay in the middle."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class Transition(NamedTuple):
    done: jnp.ndarray
    action: jnp.ndarray
    value: jnp.ndarray
    reward: jnp.ndarray
    log_prob: jnp.ndarray
    obs: jnp.ndarray


class Cart:
    """A cart on a line."""

    def reset(self, key):
        return jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5)

    def step(self, state, action):
        speed = state[1] + 0.1 * (2 * action - 1)
        state = jnp.array([state[0] + 0.1 * speed, speed])
        return state, -jnp.abs(state[0]), jnp.abs(state[0]) > 2


def init_network(key, hidden):
    first, second, third = jax.random.split(key, 3)
    return {
        "body": jax.random.normal(first, (2, hidden)) / np.sqrt(2),
        "policy": 0.01 * jax.random.normal(second, (hidden, 2)),
        "value": 0.01 * jax.random.normal(third, (hidden, 1)),
    }


def actor_critic(params, obs):
    hidden = jnp.tanh(obs @ params["body"])
    return hidden @ params["policy"], (hidden @ params["value"]).squeeze(-1)


def make_train(config):
    env = Cart()

    def linear_schedule(count):
        frac = 1.0 - count / config["NUM_UPDATES"]
        return config["LR"] * frac

    def train(rng):
        rng, init_rng, reset_rng = jax.random.split(rng, 3)
        params = init_network(init_rng, config["HIDDEN"])
        tx = optax.adam(learning_rate=linear_schedule, eps=1e-5)
        opt_state = tx.init(params)
        env_state = jax.vmap(env.reset)(jax.random.split(reset_rng, config["NUM_ENVS"]))

        def _update_step(runner_state, _):
            def _env_step(runner_state, _):
                params, opt_state, state, rng = runner_state
                rng, action_rng = jax.random.split(rng)
                logits, value = actor_critic(params, state)
                action = jax.random.categorical(action_rng, logits)
                log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], 1).squeeze(1)
                new_state, reward, done = jax.vmap(env.step)(state, action)
                new_state = jnp.where(done[:, None], 0.0, new_state)
                return (params, opt_state, new_state, rng), Transition(done, action, value, reward, log_prob, state)

            runner_state, traj_batch = jax.lax.scan(_env_step, runner_state, None, config["NUM_STEPS"])
            params, opt_state, env_state, rng = runner_state
            _, last_val = actor_critic(params, env_state)

            def _calculate_gae(traj_batch, last_val):
                def _get_advantages(carry, transition):
                    gae, next_value = carry
                    delta = transition.reward + config["GAMMA"] * next_value * (1 - transition.done) - transition.value
                    gae = delta + config["GAMMA"] * config["LAMBDA"] * (1 - transition.done) * gae
                    return (gae, transition.value), gae

                start = (jnp.zeros_like(last_val), last_val)
                _, advantages = jax.lax.scan(_get_advantages, start, traj_batch, reverse=True)
                return advantages, advantages + traj_batch.value

            advantages, targets = _calculate_gae(traj_batch, last_val)

            # The clipped objective of PPO.
            def _loss_fn(params, traj_batch, gae, targets):
                logits, value = actor_critic(params, traj_batch.obs)
                log_probs = jax.nn.log_softmax(logits)
                log_prob = jnp.take_along_axis(log_probs, traj_batch.action[..., None], -1).squeeze(-1)
                ratio = jnp.exp(log_prob - traj_batch.log_prob)
                gae = (gae - gae.mean()) / (gae.std() + 1e-8)
                clipped = jnp.clip(ratio, 1 - config["CLIP"], 1 + config["CLIP"])
                actor = -jnp.minimum(ratio * gae, clipped * gae).mean()
                entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
                return actor + 0.5 * jnp.square(value - targets).mean() - 0.01 * entropy

            grads = jax.grad(_loss_fn)(params, traj_batch, advantages, targets)
            updates, opt_state = tx.update(grads, opt_state)
            params = optax.apply_updates(params, updates)
            return (params, opt_state, env_state, rng), traj_batch.reward.mean()

        runner_state = (params, opt_state, env_state, rng)
        runner_state, rewards = jax.lax.scan(_update_step, runner_state, None, config["NUM_UPDATES"])
        return {"params": runner_state[0], "returned_episode_returns": rewards}

    return train


if __name__ == "__main__":
    config = {
        "LR": 0.01,
        "NUM_ENVS": 8,
        "NUM_STEPS": 16,
        "NUM_UPDATES": 20,
        "HIDDEN": 16,
        "GAMMA": 0.99,
        "LAMBDA": 0.95,
        "CLIP": 0.2,
        "ENV_NAME": "Cart",
    }
    out = jax.jit(make_train(config))(jax.random.PRNGKey(0))
    returns = out["returned_episode_returns"]
    print(f"reward {float(returns[0]):.4f} {float(returns[-1]):.4f}")
