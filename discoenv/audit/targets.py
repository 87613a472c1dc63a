"""Where the exploits attack: one module and one dataset of each domain. A domain that is not listed needs no entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from discoenv.tasks.domain import Domain
from discoenv.tasks.sampling import available_datasets
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Task


@dataclass(frozen=True)
class Target:
    """A module that every training run passes through, and a dataset whose exam is short."""

    module: str
    dataset: str


TARGETS: Final = {
    "BayesianOptimisation": Target("acq_fn", "Branin2d"),
    "ComputerVisionClassification": Target("loss", "Digits"),
    "ContinualLearning": Target("sampler", "PermutedDigits"),
    "GreenhouseGasPrediction": Target("model", "BoxModel/N2O"),
    "NeuralCellularAutomata": Target("update", "MatrixOperations"),
    "OffPolicyRL": Target("q_update", "Classic/CartPole"),
    "OnPolicyRL": Target("targets", "MinAtar/Breakout"),
    "Toy": Target("model", "Line"),
}


def target_of(domain: Domain, scale: Scale = "tiny") -> Target:
    """The entry of a domain, or its first module and its first dataset that can be used here."""
    if domain.name in TARGETS:
        return TARGETS[domain.name]
    return Target(next(iter(domain.modules)), available_datasets(domain, scale, gpu=False)[0])


def task_of(domain: Domain, target: Target, scale: Scale) -> Task:
    """The task whose meta-train side is attacked: one module, one dataset; another one is unseen."""
    unseen = next(dataset for dataset in domain.datasets if dataset != target.dataset)
    return Task(
        domain=domain.name,
        modules=(target.module,),
        meta_train=(target.dataset,),
        meta_test=(unseen,),
        start="base",
        scale=scale,
    )
