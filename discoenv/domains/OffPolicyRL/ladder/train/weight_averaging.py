"""The values that are examined have averaged parameters. Nikishin et al. 2018."""

import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState
from make_env import get_action_dim, make_env
from networks import QNetwork
from optim import scale_by_optimizer
from policy import explore
from q_update import q_loss_fn
from rb import get_replay_buffer
from transition import Transition

#: Step size of the running mean.
STEP = 0.005


def make_train(config):
    """``train(rng, lr)``: Q-learning; params are a running mean of those after each update."""
    env, env_params = make_env(config)
    network = QNetwork(get_action_dim(env, env_params), config)
    buffer = get_replay_buffer(config)

    updates = config["TOTAL_TIMESTEPS"] // (config["NUM_ENVS"] * config["TRAINING_INTERVAL"])

    def example(obs):
        """A transition without leading axis."""
        return Transition(obs[0], jnp.int32(0), jnp.float32(0), obs[0], jnp.bool_(False), jnp.bool_(False))

    def train(rng, lr):
        init_rng, reset_rng, rng = jax.random.split(rng, 3)
        obs, env_state = env.reset(reset_rng, env_params)
        optimizer = optax.chain(scale_by_optimizer(), optax.scale(-lr))
        train_state = TrainState.create(apply_fn=network.apply, params=network.init(init_rng, obs), tx=optimizer)

        def env_step(carry, rng):
            """All environments take one step; ``t`` counts them."""
            params, env_state, obs, buffer_state, t = carry
            action_rng, step_rng = jax.random.split(rng)
            action = explore(action_rng, network.apply(params, obs), t, config).astype(jnp.int32)
            next_obs, env_state, reward, terminated, truncated, info = env.step(step_rng, env_state, action, env_params)
            transition = Transition(obs, action, reward, info["final_observation"], terminated, truncated)
            buffer_state = buffer.add(buffer_state, transition)
            ended = terminated | truncated
            returns = jnp.sum(info["episode_return"] * ended), jnp.sum(ended)
            return (params, env_state, next_obs, buffer_state, t + config["NUM_ENVS"]), returns

        def gradient_step(carry):
            """One step of the optimiser; the target network follows from time to time."""
            train_state, target_params, buffer_state, rng = carry
            rng, sample_rng = jax.random.split(rng)
            batch = buffer.sample(buffer_state, sample_rng)
            gradient = jax.grad(q_loss_fn, has_aux=True)
            gradients, td_error = gradient(train_state.params, target_params, network, batch, config)
            buffer_state = buffer.set_priorities(buffer_state, batch.index, td_error)
            train_state = train_state.apply_gradients(grads=gradients)
            moved = optax.incremental_update(train_state.params, target_params, config["TAU"])
            due = train_state.step % config["TARGET_UPDATE_INTERVAL"] == 0
            target_params = jax.tree.map(lambda new, old: jnp.where(due, new, old), moved, target_params)
            return train_state, target_params, buffer_state, rng

        def update(carry, rng):
            """TRAINING_INTERVAL steps of all environments, then GRADIENT_STEPS of the optimiser."""
            train_state, average, target_params, env_state, obs, buffer_state, t = carry
            step_rng, learn_rng = jax.random.split(rng)
            step_rngs = jax.random.split(step_rng, config["TRAINING_INTERVAL"])
            start = (train_state.params, env_state, obs, buffer_state, t)
            (_, env_state, obs, buffer_state, t), returns = jax.lax.scan(env_step, start, step_rngs)

            # A loop of no step instead of a condition, because the result of a condition is a copy of the buffer.
            count = jnp.where(t >= config["LEARNING_STARTS"], config["GRADIENT_STEPS"], 0)
            start = (train_state, target_params, buffer_state, learn_rng)
            learnt = jax.lax.fori_loop(0, count, lambda _, carry: gradient_step(carry), start)
            train_state, target_params, buffer_state, _ = learnt
            average = optax.incremental_update(train_state.params, average, STEP)
            return (train_state, average, target_params, env_state, obs, buffer_state, t), jax.tree.map(
                jnp.sum, returns
            )

        params = train_state.params
        start = (train_state, params, params, env_state, obs, buffer.init(example(obs)), jnp.int32(0))
        (_, average, _, env_state, *_), (returns, ended) = jax.lax.scan(update, start, jax.random.split(rng, updates))
        metrics = {"mean_training_return": returns / ended}
        return {"params": average, "env_state": env_state, "metrics": metrics}

    return train
