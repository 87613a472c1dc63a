"""The learner's own file ``network.py``, for the examiner: its models are the ones that learners train."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

_FILE = Path(__file__).resolve().parent / "templates/default/network.py"


@functools.cache
def network() -> ModuleType:
    """The module, imported once.

    Raises:
        ImportError: it is not there.
    """
    spec = importlib.util.spec_from_file_location("discoenv_unlearning_network", _FILE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_FILE} cannot be imported; the domain's folder is not complete")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
