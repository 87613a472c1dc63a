"""Arrays computed by the published implementation, which are no part of the repository.

``DISCOENV_TEST_DATA`` names the folder that holds ``groove/``; without it, ``../shared/data`` beside the checkout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def reference() -> Mapping[str, Any]:
    """The arrays by name, float32."""
    folder = Path(os.environ.get("DISCOENV_TEST_DATA", ROOT.parent / "shared" / "data")) / "groove"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: put groove_reference.npz into it, or set DISCOENV_TEST_DATA")
    with np.load(folder / "groove_reference.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(autouse=True)
def quick_compilation() -> Iterator[None]:
    """Compile without optimisations: these programs take longer to compile than to run."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
