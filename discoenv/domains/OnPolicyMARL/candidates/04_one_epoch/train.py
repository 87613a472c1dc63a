"""One pass over each rollout. Mnih et al. 2016."""

import jax
import jax.numpy as jnp
import optax
from activation import activation
from flax.training.train_state import TrainState
from loss import loss_actor_and_critic
from make_env import make_env
from networks import ActorCritic
from optim import scale_by_optimizer
from targets import get_targets
from transition import Transition, team_value


def make_train(config):
    """``train(rng, lr)``: proximal policy optimisation with one epoch."""
    env = make_env(config)
    network = ActorCritic(env.num_actions, config, activation)
    num_opt_steps = config["NUM_UPDATES"] * config["NUM_MINIBATCHES"]

    def train(rng, lr):
        rng, init_rng, reset_rng = jax.random.split(rng, 3)
        obs, env_state = env.reset(reset_rng)
        optimizer = optax.chain(
            optax.clip_by_global_norm(config["MAX_GRAD_NORM"]),
            scale_by_optimizer(),
            optax.scale_by_schedule(lambda count: -lr * (1.0 - count / num_opt_steps)),
        )
        train_state = TrainState.create(apply_fn=network.apply, params=network.init(init_rng, obs), tx=optimizer)

        def value_of(params, obs):
            return team_value(network.apply(params, obs)[1], obs.active)

        def env_step(carry, rng):
            """All agents of all environments take one step with the current policy."""
            params, env_state, obs = carry
            action_rng, step_rng = jax.random.split(rng)
            pi, value = network.apply(params, obs)
            action = pi.sample(seed=action_rng)
            next_obs, env_state, reward, terminated, truncated, info = env.step(step_rng, env_state, action)
            # Time limits are rare, so the critic is not asked unless there is one.
            final_value = jax.lax.cond(
                truncated.any(),
                lambda obs: value_of(params, obs),
                lambda obs: jnp.zeros(obs.active.shape),
                info["final_observation"],
            )
            reward, terminated, truncated = (
                jnp.broadcast_to(x[:, None], value.shape) for x in (reward, terminated, truncated)
            )
            transition = Transition(
                obs,
                action,
                pi.log_prob(action),
                team_value(value, obs.active),
                reward,
                terminated,
                truncated,
                final_value,
            )
            return (params, env_state, next_obs), (transition, info["episode_return"])

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
            (_, env_state, obs), (traj_batch, returns) = jax.lax.scan(env_step, start, step_rngs)

            advantages, targets = get_targets(traj_batch, value_of(train_state.params, obs), config)

            batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (traj_batch, advantages, targets))

            def epoch(train_state, rng):
                order = jax.random.permutation(rng, config["NUM_ENVS"] * config["NUM_STEPS"])
                order = order.reshape(config["NUM_MINIBATCHES"], config["MINIBATCH_SIZE"])

                def step(train_state, indices):
                    return minibatch_step(train_state, jax.tree.map(lambda x: x[indices], batch))

                return jax.lax.scan(step, train_state, order)

            train_state, _ = jax.lax.scan(epoch, train_state, jax.random.split(shuffle_rng, 1))

            ended = (traj_batch.terminated | traj_batch.truncated)[..., 0]
            mean_return = jnp.sum(returns * ended) / jnp.sum(ended)
            return (train_state, env_state, obs), {"mean_training_return": mean_return}

        update_rngs = jax.random.split(rng, config["NUM_UPDATES"])
        (train_state, env_state, _), metrics = jax.lax.scan(update, (train_state, env_state, obs), update_rngs)
        return {"params": train_state.params, "env_state": env_state, "metrics": metrics}

    return train
