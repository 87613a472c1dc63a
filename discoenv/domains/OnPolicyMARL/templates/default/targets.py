"""Advantages for the actor and regression targets for the critic, from one rollout."""

import jax
import jax.numpy as jnp


def get_targets(traj_batch, last_val, config):
    """Advantages and value targets of a rollout.

    Args:
        traj_batch: Transition (see transition.py) with the leading axes [NUM_STEPS, NUM_ENVS, A], in order of time. An
            episode that is terminated ends with value 0; one that is truncated is cut by a time limit only, and
            ``final_value`` holds the value of the observations at which it was cut. The death of an agent ends no
            episode: the team's reward goes on, and ``value`` of a dead agent is that of its living team mates.
        last_val: float32[NUM_ENVS, A], value of the observations that follow the last step of the rollout.
        config: the run's configuration (immutable mapping): GAMMA, GAE_LAMBDA.

    Returns:
        (advantages, targets), float32[NUM_STEPS, NUM_ENVS, A] both, not normalised.
    """
    # <solution>
    gamma, lambda_ = config["GAMMA"], config["GAE_LAMBDA"]

    def step(carry, transition):
        """Generalised advantage estimation (Schulman et al. 2016, eq. 16), from the last step to the first.

        δ_t = r_t + γ V(s_{t+1}) − V(s_t);   Â_t = δ_t + γ λ Â_{t+1};   Â_{t+1} = 0 after the end of an episode.
        """
        next_advantage, next_value = carry
        next_value = jnp.where(transition.truncated, transition.final_value, next_value)
        next_value = jnp.where(transition.terminated, 0.0, next_value)
        goes_on = ~(transition.terminated | transition.truncated)
        delta = transition.reward + gamma * next_value - transition.value
        advantage = delta + gamma * lambda_ * goes_on * next_advantage
        return (advantage, transition.value), advantage

    start = (jnp.zeros_like(last_val), last_val)
    _, advantages = jax.lax.scan(step, start, traj_batch._replace(obs=None), reverse=True, unroll=8)
    return advantages, advantages + traj_batch.value
    # </solution>
