"""What the tests of ModelUnlearning share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.testing import domain_of, import_learner

DOMAIN = domain_of(Path(__file__).resolve().parents[1])
OFFLINE = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "offline"]
QUICK = "FictAuthors/attention"


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    """The learner's code of the quick dataset, on one thread."""
    import torch

    threads = torch.get_num_threads()
    with import_learner(DOMAIN, dataset=QUICK) as modules:
        torch.set_num_threads(1)
        yield modules
    torch.set_num_threads(threads)
