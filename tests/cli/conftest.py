"""A workspace to run commands on, and a command line whose working directory is an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules, materialise
from tests.discogen.conftest import discoenv_command, folder

__all__ = ["discoenv_command", "folder", "workspace"]


@pytest.fixture
def workspace(task: Task, tmp_path: Path) -> Path:
    """A workspace of two datasets, whose modules are the base ones."""
    wide = task.model_copy(update={"meta_train": ("Line", "Steps")})
    return materialise(wide, tmp_path / "workspace", modules=base_modules(task))
