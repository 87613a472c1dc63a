"""The two action distributions of policies. Both are pytrees; all methods work under jit, vmap and grad."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Categorical(NamedTuple):
    """Distribution over the actions 0 ... K-1 with unnormalised log-probabilities ``logits``, float32[..., K]."""

    logits: jax.Array

    def sample(self, seed: jax.Array) -> jax.Array:
        """int32[...]; ``seed`` is a JAX key."""
        return jax.random.categorical(seed, self.logits)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """float32[...] for action int32[...]."""
        return jnp.take_along_axis(jax.nn.log_softmax(self.logits), action[..., None], axis=-1)[..., 0]

    def entropy(self) -> jax.Array:
        """float32[...], in nats."""
        log_p = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)

    def mode(self) -> jax.Array:
        """int32[...], the most probable action."""
        return jnp.argmax(self.logits, axis=-1)


class DiagonalNormal(NamedTuple):
    """Independent normals with means ``loc`` and log standard deviations ``log_std``, float32[..., A] both."""

    loc: jax.Array
    log_std: jax.Array

    def sample(self, seed: jax.Array) -> jax.Array:
        """float32[..., A]; ``seed`` is a JAX key."""
        return self.loc + jnp.exp(self.log_std) * jax.random.normal(seed, self.loc.shape)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """float32[...] for action float32[..., A]: log density, summed over the A dimensions."""
        z = (action - self.loc) * jnp.exp(-self.log_std)
        return -jnp.sum(0.5 * z**2 + self.log_std + 0.5 * jnp.log(2 * jnp.pi), axis=-1)

    def entropy(self) -> jax.Array:
        """float32[...], in nats, summed over the A dimensions."""
        return jnp.sum(jnp.broadcast_to(self.log_std, self.loc.shape) + 0.5 * jnp.log(2 * jnp.pi * jnp.e), axis=-1)

    def mode(self) -> jax.Array:
        """float32[..., A], the mean."""
        return self.loc
