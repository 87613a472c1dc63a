"""The training loop of agents with a memory: rollouts, targets and epochs of minibatch updates."""

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
    """The training function of one configuration.

    Args:
        config: the run's configuration (immutable mapping): all keys of config.yaml, NUM_UPDATES and MINIBATCH_SIZE.
            Training takes NUM_UPDATES rollouts of NUM_STEPS steps in each of NUM_ENVS environments.

    Returns:
        ``train(rng, lr)``, where ``rng`` is a JAX key and ``lr`` the learning rate, float32[]. It is pure, can be
        jitted, and vmapped over both. It returns a dict:

        * ``params``: the parameters of ``ActorCritic`` that are examined;
        * ``env_state``: the last state of the training environments, which holds the number of steps taken;
        * ``metrics``: a dict with ``mean_training_return`` float32[NUM_UPDATES]: mean undiscounted return of the
          episodes that ended in each update, NaN where none did.
    """
    # <solution>
    env = make_env(config)
    num_envs = config["NUM_ENVS"]
    envs_per_minibatch = num_envs // config["NUM_MINIBATCHES"]
    network = ActorCritic(env.num_actions, config, activation)
    num_opt_steps = config["NUM_UPDATES"] * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]

    def one(obs):
        """Observations of one time step, with an axis [1] for it."""
        return jax.tree.map(lambda x: x[None], obs)

    def train(rng, lr):
        rng, init_rng, reset_rng = jax.random.split(rng, 3)
        obs, env_state = env.reset(reset_rng)
        first, memory = jnp.ones(obs.active.shape, bool), network.initial_memory(obs.active.shape)
        optimizer = optax.chain(
            optax.clip_by_global_norm(config["MAX_GRAD_NORM"]),
            scale_by_optimizer(),
            optax.scale_by_schedule(lambda count: -lr * (1.0 - count / num_opt_steps)),
        )
        params = network.init(init_rng, memory, one(obs), first[None])
        train_state = TrainState.create(apply_fn=network.apply, params=params, tx=optimizer)

        def value_of(params, memory, obs, first):
            return team_value(network.apply(params, memory, one(obs), first[None])[2][0], obs.active)

        def env_step(carry, rng):
            """All agents of all environments take one step with the current policy."""
            params, env_state, obs, first, memory = carry
            action_rng, step_rng = jax.random.split(rng)
            memory, pi, value = network.apply(params, memory, one(obs), first[None])
            action = pi.sample(seed=action_rng)
            log_prob = pi.log_prob(action)[0]
            action, value = action[0], value[0]
            next_obs, env_state, reward, terminated, truncated, info = env.step(step_rng, env_state, action)
            # Time limits are rare, so the critic is not asked unless there is one.
            final_value = jax.lax.cond(
                truncated.any(),
                lambda obs: value_of(params, memory, obs, jnp.zeros(first.shape, bool)),
                lambda obs: jnp.zeros(obs.active.shape),
                info["final_observation"],
            )
            reward, terminated, truncated = (
                jnp.broadcast_to(x[:, None], value.shape) for x in (reward, terminated, truncated)
            )
            transition = Transition(
                obs,
                first,
                action,
                log_prob,
                team_value(value, obs.active),
                reward,
                terminated,
                truncated,
                final_value,
            )
            return (params, env_state, next_obs, terminated | truncated, memory), (transition, info["episode_return"])

        def minibatch_step(train_state, minibatch):
            """One step of the optimiser."""
            gradient = jax.grad(loss_actor_and_critic, has_aux=True)
            gradients, _ = gradient(train_state.params, *minibatch, network, config)
            return train_state.apply_gradients(grads=gradients), None

        def update(carry, rng):
            """One rollout, and UPDATE_EPOCHS passes over it, a minibatch being the rollouts of some environments."""
            train_state, *situation = carry
            init_memory = situation[-1]
            rollout_rng, shuffle_rng = jax.random.split(rng)

            step_rngs = jax.random.split(rollout_rng, config["NUM_STEPS"])
            start = (train_state.params, *situation)
            (_, *situation), (traj_batch, returns) = jax.lax.scan(env_step, start, step_rngs)

            _, obs, first, memory = situation
            advantages, targets = get_targets(traj_batch, value_of(train_state.params, memory, obs, first), config)
            # Over the whole rollout: the few environments of a minibatch may not have seen any reward, and normalised
            # among themselves their advantages would be noise at full size.
            active = traj_batch.obs.active
            advantages = advantages - advantages.mean(where=active)
            advantages = advantages / (jnp.sqrt((advantages**2).mean(where=active)) + 1e-8)

            def epoch(train_state, rng):
                order = jax.random.permutation(rng, num_envs).reshape(config["NUM_MINIBATCHES"], envs_per_minibatch)

                def step(train_state, envs):
                    rollouts = jax.tree.map(lambda x: x[:, envs], (traj_batch, advantages, targets))
                    return minibatch_step(train_state, (jax.tree.map(lambda x: x[envs], init_memory), *rollouts))

                return jax.lax.scan(step, train_state, order)

            train_state, _ = jax.lax.scan(epoch, train_state, jax.random.split(shuffle_rng, config["UPDATE_EPOCHS"]))

            ended = (traj_batch.terminated | traj_batch.truncated)[..., 0]
            mean_return = jnp.sum(returns * ended) / jnp.sum(ended)
            return (train_state, *situation), {"mean_training_return": mean_return}

        update_rngs = jax.random.split(rng, config["NUM_UPDATES"])
        start = (train_state, env_state, obs, first, memory)
        (train_state, env_state, *_), metrics = jax.lax.scan(update, start, update_rngs)
        return {"params": train_state.params, "env_state": env_state, "metrics": metrics}

    return train
    # </solution>
