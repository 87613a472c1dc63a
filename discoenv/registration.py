"""Registers ``DiscoGen-v0`` with Gymnasium, without importing Gymnasium before the user does.

Importing Gymnasium would exceed our 150 ms import budget. So if it is not loaded yet, a finder waits for its import and
registers the environment when that is complete.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

ENV_ID = "DiscoGen-v0"
ENTRY_POINT = "discoenv.env:DiscoGenEnv"
VECTOR_ENTRY_POINT = "discoenv.vector:DiscoGenVectorEnv"


def register() -> None:
    """Register now if Gymnasium is loaded, otherwise as soon as it is."""
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is not None and hasattr(gymnasium, "envs"):
        _register(gymnasium)
    elif not any(isinstance(finder, _GymnasiumFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _GymnasiumFinder())


def _register(gymnasium: ModuleType) -> None:
    if ENV_ID not in gymnasium.registry:
        # Scores follow from the seed; the seconds that observations and info report do not. Without wrappers, `make`
        # returns the environment itself, with its own methods: save, fork, restore. It keeps the order of calls itself.
        gymnasium.register(
            id=ENV_ID,
            entry_point=ENTRY_POINT,
            vector_entry_point=VECTOR_ENTRY_POINT,
            nondeterministic=True,
            order_enforce=False,
            disable_env_checker=True,
        )


class _GymnasiumFinder:
    """Finds Gymnasium as usual, and has the environment registered after its import.

    It stays until then, because a search need not be followed by an import (``importlib.util.find_spec``).
    """

    _searching = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "gymnasium" or self._searching:
            return None
        self._searching = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                _register(module)

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
