"""The published weights and the outputs of the original implementation, which are no part of the repository.

``DISCOENV_TEST_DATA`` names the folder that holds ``disco103/``; without it, ``../shared/data`` beside the checkout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from discoenv.kits.disco103 import DiscoUpdateRule, load_disco103_weights  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the reference data."""
    folder = Path(os.environ.get("DISCOENV_TEST_DATA", ROOT.parent / "shared" / "data")) / "disco103"
    if not folder.is_dir():
        pytest.skip(
            f"{folder} is not there: put disco_103.npz and disco103_reference.npz into it, or set DISCOENV_TEST_DATA"
        )
    return folder


@pytest.fixture(scope="session")
def weights(data: Path) -> Path:
    """The published weights."""
    return data / "disco_103.npz"


@pytest.fixture(scope="session")
def reference(data: Path) -> Iterator[Mapping[str, Any]]:
    """Outputs of the original implementation on seeded inputs, in float32, and below ``f64/`` in float64."""
    with np.load(data / "disco103_reference.npz") as arrays:
        yield arrays


@pytest.fixture(scope="session")
def published(weights: Path) -> DiscoUpdateRule:
    """The rule with the published weights, float32; do not change it."""
    rule = DiscoUpdateRule()
    load_disco103_weights(rule, weights)
    return rule


@pytest.fixture(scope="session")
def published_double(weights: Path) -> DiscoUpdateRule:
    """The same in float64."""
    rule: DiscoUpdateRule = DiscoUpdateRule().double()
    load_disco103_weights(rule, weights)
    return rule
