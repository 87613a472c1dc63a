"""OnPolicyRL's code as tests use it: imported from a folder like that of a workspace."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from discoenv.exams.examiner import Array, Learner
from discoenv.kits import exam
from discoenv.tasks import stubs
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN

DOMAIN = Domain(BUILTIN / "OnPolicyRL")
MEMORIES = ("recurrent", "transformer")


def write_code(folder: Path, backend: str = "default", render: Callable[[str, str], str] = stubs.base) -> Path:
    """A dataset's folder of a workspace, its modules rendered as bases or stubs."""
    folder.mkdir()
    for name in DOMAIN.specification.fixed_files:
        shutil.copy(DOMAIN.file(name, dataset="MinAtar/Breakout", backend=backend), folder)
    for module in DOMAIN.modules:
        source = render(DOMAIN.module_source(module, backend=backend), f"{module}.py")
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
    shutil.copy(str(exam.__file__), folder / "exam.py")
    return folder


@contextlib.contextmanager
def imported(folder: Path) -> Iterator[SimpleNamespace]:
    """All modules of a folder, imported under their plain names, which then mean again what they meant before."""
    names = [path.stem for path in folder.glob("*.py")]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        modules: dict[str, ModuleType] = {name: importlib.import_module(name) for name in names}
        yield SimpleNamespace(**modules)
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def actor_critic(code: Any, config: Any) -> Any:
    """The network of a configuration."""
    env, params = code.make_env.make_env(config)
    action_dim = code.make_env.get_action_dim(env, params, config)
    return code.networks.ActorCritic(action_dim, config, code.activation.get_activation(config))


class InProcessLearner(Learner):
    """Answers with a Python object's methods; answers are packed, unpacked and checked as those of a process."""

    def __init__(self, model: Any, env_steps: int = 0) -> None:
        self._model = model
        self._env_steps = env_steps
        self.questions = 0

    def ask(self, method: str, *args: Any, returns: Array) -> np.ndarray[Any, Any]:
        if method == "env_steps":
            return returns.check(self._env_steps, "env_steps()")
        self.questions += 1
        return returns.check(np.asarray(getattr(self._model, method)(*args)), f"{method}()")
