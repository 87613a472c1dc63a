"""Momentum whose matrices are brought to orthogonal ones; Adam for vectors. Jordan et al. 2024, Liu et al. 2025."""

import jax
import jax.numpy as jnp
import optax

MOMENTUM, ITERATIONS = 0.95, 5
#: Steps of matrices are scaled to the root mean square that those of Adam usually have.
SCALE = 0.2


def scale_by_optimizer():
    """Muon for matrices and Adam for all else, with one learning rate for both."""

    def label(params):
        return jax.tree.map(lambda x: "matrix" if x.ndim == 2 else "other", params)

    muon = optax.chain(optax.trace(decay=MOMENTUM, nesterov=True), optax.stateless_with_tree_map(orthogonal_step))
    return optax.multi_transform({"matrix": muon, "other": optax.scale_by_adam(eps=1e-5)}, label)


def orthogonal_step(update, _):
    """An update float32[N, M] with all its singular values made about 1, and scaled."""
    return SCALE * jnp.sqrt(max(update.shape)) * orthogonalised(update)


def orthogonalised(matrix):
    """The nearest semi-orthogonal matrix, about, by Newton and Schulz's iteration of fifth order."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (jnp.linalg.norm(matrix) + 1e-7)
    x = x.T if matrix.shape[0] > matrix.shape[1] else x
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x
