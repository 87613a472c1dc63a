"""Returns of an agent end with its death. Rutherford et al. 2024, as the learners published with JaxMARL."""

import jax
import jax.numpy as jnp


def get_targets(traj_batch, last_val, config):
    """Generalised advantage estimation; what follows the step after which an agent is not active counts 0."""
    gamma, lambda_ = config["GAMMA"], config["GAE_LAMBDA"]

    def step(carry, transition):
        """From the last step to the first."""
        next_advantage, next_value = carry
        next_value = jnp.where(transition.truncated, transition.final_value, next_value)
        next_value = jnp.where(transition.terminated, 0.0, next_value)
        goes_on = ~(transition.terminated | transition.truncated)
        delta = transition.reward + gamma * next_value - transition.value
        advantage = delta + gamma * lambda_ * goes_on * next_advantage
        return (advantage, transition.value), advantage

    # Who has died in a step; of the last one it is not known. After the end of an episode all are others.
    active = traj_batch.obs.active
    lost = jnp.concatenate([active[:-1] & ~active[1:], jnp.zeros_like(active[:1])])
    traj_batch = traj_batch._replace(terminated=traj_batch.terminated | (lost & ~traj_batch.truncated))
    start = (jnp.zeros_like(last_val), last_val)
    _, advantages = jax.lax.scan(step, start, traj_batch._replace(obs=None), reverse=True, unroll=8)
    return advantages, advantages + traj_batch.value
