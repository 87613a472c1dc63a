"""Quality diversity over environments: archives, emitters, two simulators, and DSAGE with its ablations.

Deep surrogate-assisted generation of environments (Bhatt et al., NeurIPS 2022) fills an archive with levels in which
an agent behaves in as many different ways as possible, and evaluates most candidates by a neural network.

* ``archives.py``, ``selection.py``: the archive, and what is chosen of a surrogate's; ``emitters.py``, ``cma_es.py``:
  where solutions come from. They need NumPy alone.
* ``problems.py``: what a simulator is; ``mazes.py``: mazes and their explorer; ``platformer.py``, ``grammar.py``,
  ``generator.py``, ``platformer_problem.py``: a platformer, its A* agent, levels, and the generator of levels.
* ``surrogate.py``, ``search.py``: the networks in PyTorch, and the search; ``experiments.py``: the published ones;
  ``runs.py``, ``storage.py``: their folders; ``results.py``: tables and pictures; ``__main__.py``: the commands.
* ``generator_training.py``: how the generator's weights were made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .archives import IMPROVED, NEW, REJECTED, Added, Elites, GridArchive
from .cma_es import CMAES
from .emitters import Emitter, GaussianEmitter, ImprovementEmitter, IntegerMutationEmitter, RandomEmitter
from .mazes import Mazes, mazes, small_mazes
from .platformer_problem import Platformers, platformers, small_platformers
from .problems import Evaluation, Problem, new_archive
from .selection import downsample, new_cells_first, random_sample

if TYPE_CHECKING:
    from .experiments import Experiment, experiment
    from .runs import run
    from .search import Search, Settings
    from .surrogate import Experience, Surrogate, SurrogateSettings

#: What needs PyTorch, which is slow to import: its module, imported when it is asked for.
_WITH_TORCH = {
    "Experience": "surrogate",
    "Experiment": "experiments",
    "Search": "search",
    "Settings": "search",
    "Surrogate": "surrogate",
    "SurrogateSettings": "surrogate",
    "experiment": "experiments",
    "run": "runs",
}

__all__ = [
    "CMAES",
    "IMPROVED",
    "NEW",
    "REJECTED",
    "Added",
    "Elites",
    "Emitter",
    "Evaluation",
    "Experience",
    "Experiment",
    "GaussianEmitter",
    "GridArchive",
    "ImprovementEmitter",
    "IntegerMutationEmitter",
    "Mazes",
    "Platformers",
    "Problem",
    "RandomEmitter",
    "Search",
    "Settings",
    "Surrogate",
    "SurrogateSettings",
    "downsample",
    "experiment",
    "mazes",
    "new_archive",
    "new_cells_first",
    "platformers",
    "random_sample",
    "run",
    "small_mazes",
    "small_platformers",
]


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_WITH_TORCH[name]}", __name__), name)
