"""Attention between a cell and its neighbours. Tesfaldet, Nowrouzezahrai and Pal 2022, Attention-based NCA."""

import flax.linen as nn
import jax.numpy as jnp

HEADS, SIZE = 4, 8


class Perceive(nn.Module):
    """The cell itself, and what each head reads from the nine cells."""

    config: dict

    @nn.compact
    def __call__(self, states):
        """Perception float32[N, H, W, CHANNELS + HEADS SIZE]. Scores depend on the direction too, in a learned way."""
        shape = (*states.shape[:3], HEADS, SIZE)
        normal = nn.LayerNorm()(states)
        query, key, value = (nn.Dense(HEADS * SIZE)(normal).reshape(shape) for _ in range(3))
        bias = self.param("bias", nn.initializers.normal(1.0), (9, HEADS))
        shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        scores = [(query * jnp.roll(key, shift, axis=(1, 2))).sum(-1) / SIZE**0.5 for shift in shifts]
        weights = nn.softmax(jnp.stack(scores) + bias[:, None, None, None], axis=0)
        read = sum(w[..., None] * jnp.roll(value, shift, axis=(1, 2)) for w, shift in zip(weights, shifts, strict=True))
        return jnp.concatenate([states, read.reshape(*states.shape[:3], HEADS * SIZE)], axis=-1)


def create_perceive(config):
    """A flax.linen module that maps states to perceptions."""
    return Perceive(config)
