"""Pytrees of arrays in files, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")


def _named(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in jax.tree.leaves_with_path(tree)}


def save_tree(path: Path, tree: Any) -> None:
    """Write a pytree of arrays as ``.npz``; a file of that name is replaced in one step. Folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        arrays: dict[str, Any] = {name: np.asarray(x) for name, x in _named(tree).items()}
        np.savez(file, **arrays)
    part.replace(path)


def load_tree(path: Path, like: T) -> T:
    """Read a pytree.

    Args:
        path: a file that :func:`save_tree` has written.
        like: a pytree with the structure, shapes and dtypes that the file must have.

    Raises:
        ValueError: arrays are missing, there are others, or one has another shape; the message names them.
    """
    expected = _named(like)
    with np.load(path) as arrays:
        missing, extra = sorted(set(expected) - set(arrays)), sorted(set(arrays) - set(expected))
        if missing or extra:
            raise ValueError(
                f"{path} was written with other settings: it lacks {', '.join(missing) or 'nothing'}, "
                f"and has {', '.join(extra) or 'nothing'} in addition; give the settings of that run"
            )
        for name, x in expected.items():
            if arrays[name].shape != x.shape:
                raise ValueError(
                    f"{path} was written with other settings: {name} has shape {arrays[name].shape}, not {x.shape}; "
                    f"give the settings of that run"
                )
        leaves = [jnp.asarray(arrays[name], x.dtype) for name, x in expected.items()]
    loaded: T = jax.tree.unflatten(jax.tree.structure(like), leaves)
    return loaded
