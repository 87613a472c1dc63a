"""The policy and the value function, with a transformer that remembers the last MEMORY_LENGTH steps."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from rl_jax.distributions import Categorical, DiagonalNormal


class ActorCritic(nn.Module):
    """Policy π(a | observations of the episode so far) and value function of the same.

    Attributes:
        action_dim: number of discrete actions, or length of the action vector if CONTINUOUS.
        config: the run's configuration (immutable mapping); HSIZE is the width of hidden layers, EMBEDDING_SIZE,
            NUM_LAYERS, NUM_HEADS and MEMORY_LENGTH describe the transformer, CONTINUOUS says which kind of action space
            it is.
        activation: the nonlinearity, as returned by ``get_activation(config)``.
    """

    action_dim: int
    config: Mapping[str, Any]
    activation: Callable

    def initial_memory(self, num_envs):
        """The memory before the first observation: a pytree of arrays with a leading axis [num_envs]."""
        # <solution>
        length = self.config["MEMORY_LENGTH"]
        embeddings = jnp.zeros((num_envs, self.config["NUM_LAYERS"], length, self.config["EMBEDDING_SIZE"]))
        return {"embeddings": embeddings, "is_valid": jnp.zeros((num_envs, length), bool)}
        # </solution>

    @nn.compact
    def __call__(self, memory, x, first):
        """Read T observations of each of N environments, in order of time.

        Args:
            memory: what is remembered from before; of the structure, shapes and dtypes of ``initial_memory(N)``.
            x: float32[T, N, D], observations. T is 1 when acting and NUM_STEPS in the loss.
            first: bool[T, N], whether an observation is the first of an episode, at which what came before it must be
                forgotten.

        Returns:
            (memory, pi, value). ``memory`` is that after the last observation. ``pi`` is a distribution over actions
            with the methods ``sample(seed)``, ``log_prob(action)``, ``entropy()`` and ``mode()`` (see
            rl_jax/distributions.py), its parameters having the leading axes [T, N]: Categorical with action_dim logits,
            or DiagonalNormal of action_dim dimensions if CONTINUOUS. ``value`` is float32[T, N].
        """
        # <solution>
        size, heads, length = (self.config[key] for key in ("EMBEDDING_SIZE", "NUM_HEADS", "MEMORY_LENGTH"))
        steps, num_envs = first.shape

        def dense(x, output_dim, scale=1.0):
            return nn.Dense(output_dim, kernel_init=orthogonal(scale), bias_init=constant(0.0))(x)

        def gate(x, y):
            """Joins a layer's input x and output y like a gated recurrent unit (Parisotto et al. 2020).

            The bias of the update gate lets the layer begin close to the identity.
            """
            from_y = dense(y, 3 * size)
            reset_y, update_y, candidate_y = jnp.split(from_y, 3, axis=-1)
            reset_x, update_x = jnp.split(dense(x, 2 * size), 2, axis=-1)
            reset, update = nn.sigmoid(reset_y + reset_x), nn.sigmoid(update_y + update_x - 2.0)
            candidate = jnp.tanh(candidate_y + dense(reset * x, size))
            return (1 - update) * x + update * candidate

        # Position M + t is step t; positions 0 to M - 1 are the memory. A step attends to itself and to the M positions
        # before it, as far as they belong to the same episode; invalid memories belong to none. Blocks of queries look
        # at windows of keys, because most pairs of steps of a long rollout are too far apart.
        block = length if steps % length == 0 else steps
        window = jnp.arange(0, steps, block)[:, None] + jnp.arange(length + block)
        episode = jnp.cumsum(first.T, axis=1)
        episode = jnp.concatenate([jnp.where(memory["is_valid"], 0, -1), episode], axis=1)
        distance = length + jnp.arange(block)[:, None] - jnp.arange(length + block)
        is_same = episode[:, window][:, :, None, :] == episode[:, window[:, length:]][:, :, :, None]
        attends = is_same & (distance >= 0) & (distance <= length)

        def attention(remembered, x):
            """Attention over ``remembered``, [N, M + T, size], by x, [N, T, size], with learned relative positions."""
            query = dense(x, size).reshape(num_envs, -1, block, heads, size // heads)
            key_value = dense(remembered, 2 * size)[:, window].reshape(*query.shape[:2], -1, heads, 2 * size // heads)
            key, value = jnp.split(key_value, 2, axis=-1)
            position = self.param(f"position_{layer}", nn.initializers.zeros, (heads, length + 1))
            score = jnp.einsum("nbthd,nbshd->nbhts", query, key) / np.sqrt(size // heads)
            score = score + position[:, jnp.clip(distance, 0, length)]
            weight = nn.softmax(jnp.where(attends[:, :, None], score, -1e9))
            return dense(jnp.einsum("nbhts,nbshd->nbthd", weight, value).reshape(num_envs, steps, size), size)

        x = self.activation(dense(jnp.swapaxes(x, 0, 1), size, np.sqrt(2)))
        embeddings = []
        for layer in range(self.config["NUM_LAYERS"]):
            normal = nn.LayerNorm()(x)
            remembered = jnp.concatenate([jax.lax.stop_gradient(memory["embeddings"][:, layer]), normal], axis=1)
            embeddings.append(remembered[:, -length:])
            x = gate(x, self.activation(attention(remembered, normal)))
            hidden = self.activation(dense(nn.LayerNorm()(x), 2 * size, np.sqrt(2)))
            x = gate(x, self.activation(dense(hidden, size)))
        memory = {
            "embeddings": jnp.stack(embeddings, axis=1),
            "is_valid": episode[:, -length:] == episode[:, -1:],
        }
        x = jnp.swapaxes(x, 0, 1)

        width = self.config["HSIZE"]
        actor = dense(self.activation(dense(x, width, np.sqrt(2))), self.action_dim, 0.01)
        if self.config["CONTINUOUS"]:
            log_std = self.param("log_std", nn.initializers.zeros, (self.action_dim,))
            pi = DiagonalNormal(actor, log_std)
        else:
            pi = Categorical(actor)

        critic = dense(self.activation(dense(x, width, np.sqrt(2))), 1, 1.0)
        return memory, pi, jnp.squeeze(critic, axis=-1)
        # </solution>
