"""One pass over each rollout, as before PPO. Mnih et al. 2016."""

import jax
import jax.numpy as jnp
import optax
from activation import get_activation
from flax.training.train_state import TrainState
from loss import loss_actor_and_critic
from make_env import get_action_dim, make_env
from networks import ActorCritic
from optim import scale_by_optimizer
from schedule import make_schedule_fn
from targets import get_targets
from transition import Transition


def make_train(config):
    """``train(rng, lr)``: proximal policy optimisation with one epoch."""
    env, env_params = make_env(config)
    network = ActorCritic(get_action_dim(env, env_params, config), config, get_activation(config))

    def train(rng, lr):
        rng, init_rng, reset_rng = jax.random.split(rng, 3)
        obs, env_state = env.reset(reset_rng, env_params)
        schedule = make_schedule_fn(config, lr)
        optimizer = optax.chain(
            optax.clip_by_global_norm(config["MAX_GRAD_NORM"]),
            scale_by_optimizer(),
            optax.scale_by_schedule(lambda count: -schedule(count)),
        )
        train_state = TrainState.create(apply_fn=network.apply, params=network.init(init_rng, obs), tx=optimizer)

        def env_step(carry, rng):
            """All environments take one step with the current policy."""
            params, env_state, obs = carry
            action_rng, step_rng = jax.random.split(rng)
            pi, value = network.apply(params, obs)
            action = pi.sample(seed=action_rng)
            next_obs, env_state, reward, terminated, truncated, info = env.step(step_rng, env_state, action, env_params)
            # Time limits are rare, so the critic is not asked unless there is one.
            final_value = jax.lax.cond(
                truncated.any(),
                lambda obs: network.apply(params, obs)[1],
                lambda obs: jnp.zeros(config["NUM_ENVS"]),
                info["final_observation"],
            )
            info = {key: info[key] for key in ("episode_return", "episode_length")}
            transition = Transition(
                obs, action, pi.log_prob(action), value, reward, terminated, truncated, final_value, info
            )
            return (params, env_state, next_obs), transition

        def minibatch_step(train_state, minibatch):
            """One step of the optimiser."""
            traj_batch, advantages, targets = minibatch
            gradient = jax.grad(loss_actor_and_critic, has_aux=True)
            gradients, _ = gradient(train_state.params, traj_batch, advantages, targets, network, config)
            return train_state.apply_gradients(grads=gradients), None

        def update(carry, rng):
            """One rollout, and UPDATE_EPOCHS passes over it."""
            train_state, env_state, obs = carry
            rollout_rng, shuffle_rng = jax.random.split(rng)

            start = (train_state.params, env_state, obs)
            step_rngs = jax.random.split(rollout_rng, config["NUM_STEPS"])
            (_, env_state, obs), traj_batch = jax.lax.scan(env_step, start, step_rngs)

            _, last_val = network.apply(train_state.params, obs)
            advantages, targets = get_targets(traj_batch, last_val, config)

            batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (traj_batch, advantages, targets))

            def epoch(train_state, rng):
                order = jax.random.permutation(rng, config["NUM_ENVS"] * config["NUM_STEPS"])
                order = order.reshape(config["NUM_MINIBATCHES"], config["MINIBATCH_SIZE"])

                def step(train_state, indices):
                    return minibatch_step(train_state, jax.tree.map(lambda x: x[indices], batch))

                return jax.lax.scan(step, train_state, order)

            train_state, _ = jax.lax.scan(epoch, train_state, jax.random.split(shuffle_rng, 1))

            ended = traj_batch.terminated | traj_batch.truncated
            mean_return = jnp.sum(traj_batch.info["episode_return"] * ended) / jnp.sum(ended)
            return (train_state, env_state, obs), {"mean_training_return": mean_return}

        update_rngs = jax.random.split(rng, config["NUM_UPDATES"])
        (train_state, env_state, _), metrics = jax.lax.scan(update, (train_state, env_state, obs), update_rngs)
        return {"params": train_state.params, "env_state": env_state, "metrics": metrics}

    return train
