"""Experiments: configurations (grids, random draws, conditions) × seeds, run in a pool of processes or on Dask.

::

    config = Config({"lr": log_uniform(1e-4, 1e-1), "width": Grid([32, 64]), "env": "CartPole-v1"}, num_sample=4)
    results = run_experiment(run, config, seeds=[0, 1, 2], log_dir="logs/lr", max_workers=4)

where ``run(config, seed, device, logdir)`` does one job. See :mod:`discoenv.experiment.running`.
"""

from discoenv.errors import ConditionError, ExperimentError
from discoenv.experiment.configurations import (
    Condition,
    Config,
    Grid,
    Sample,
    choice,
    int_uniform,
    log_uniform,
    uniform,
)
from discoenv.experiment.directory import RunDirectory
from discoenv.experiment.layout import Checkpoint
from discoenv.experiment.running import ExperimentFailed, Finished, run_experiment

__all__ = [
    "Checkpoint",
    "Condition",
    "ConditionError",
    "Config",
    "ExperimentError",
    "ExperimentFailed",
    "Finished",
    "Grid",
    "RunDirectory",
    "Sample",
    "choice",
    "int_uniform",
    "log_uniform",
    "run_experiment",
    "uniform",
]
