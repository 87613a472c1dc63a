"""Writes the DiscoBench tasks and the examples: ``python -m discoenv.tasks.discobench.generate``.

A domain's datasets are split by hand, once, for all of its tasks. Meta-test datasets differ from the meta-train ones in
kind, and none of them can be looked up where another could be chosen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from discoenv.discogen.config import flat_config
from discoenv.machine import atomic
from discoenv.tasks.discobench import DIRECTORY, EXAMPLES
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.yaml_text import dump


class Split(NamedTuple):
    """Datasets of a domain's tasks, and the modules that its example has editable."""

    meta_train: tuple[str, ...]
    meta_test: tuple[str, ...]
    example_modules: tuple[str, ...]


SPLITS: dict[str, Split] = {
    # Trained on long-lived gases and on the published record; tested on a halt, a dip, and a short-lived noisy gas.
    "GreenhouseGasPrediction": Split(
        ("MaunaLoa/CO2", "BoxModel/CO2", "BoxModel/N2O", "BoxModel/CFC"),
        ("BoxModel/CH4", "BoxModel/SF6", "BoxModel/CO"),
        ("data_processing", "model"),
    ),
    # Trained on textbook functions; tested on families that are drawn at random, so that there is nothing to look up.
    "BayesianOptimisation": Split(
        ("Ackley2d", "Branin2d", "Griewank5d", "HolderTable2d", "Levy6d"),
        ("GaussianProcess3d", "NoisyGaussianProcess2d", "NeuralNetwork4d", "Bumps3d", "Hartmann6d"),
        ("acq_fn", "surrogate"),
    ),
    # Trained on two games and a robot without falls; tested on two other games and on a robot that can fall.
    "OnPolicyRL": Split(
        ("MinAtar/Breakout", "MinAtar/Freeway", "Brax/HalfCheetah"),
        ("MinAtar/Asterix", "MinAtar/SpaceInvaders", "Brax/Humanoid"),
        ("loss", "optim", "targets"),
    ),
    # Trained on two games and a control problem with a reward per step; tested on two games and one without any.
    "OffPolicyRL": Split(
        ("MinAtar/Breakout", "MinAtar/Freeway", "Classic/CartPole"),
        ("MinAtar/Asterix", "MinAtar/SpaceInvaders", "Classic/Acrobot"),
        ("q_update", "policy", "rb"),
    ),
    # Trained on digits, which are public and share held-out images, and on shapes; tested on sets that nobody has: many
    # classes by unseen hands, few images of fine-grained classes, and textures.
    "ComputerVisionClassification": Split(
        ("Digits", "DigitsLT", "DigitsC", "Shapes10"),
        ("Glyphs100", "ProcFlowers", "Textures200"),
        ("loss", "optim", "preprocess"),
    ),
    # Trained on permutations and on new characters; tested on a slow drift, and on more classes with fewer images.
    "ContinualLearning": Split(
        ("PermutedDigits", "SplitGlyphs"),
        ("RotatedDigits", "SplitTextures"),
        ("regularizer", "replay", "sampler"),
    ),
    # Trained on a picture, on images and on physics; tested on pictures without symmetry, on another use of the images,
    # and on computing.
    "NeuralCellularAutomata": Split(
        ("GrowingButterfly", "DigitsInpainting", "SteadyDiffusion"),
        ("GrowingLizard", "GrowingSpiral", "SelfClassifyingDigits", "MatrixOperations"),
        ("perceive", "update", "loss"),
    ),
}


def files() -> dict[str, str]:
    """Text of every file by its path relative to ``discoenv/tasks``."""
    found: dict[str, str] = {}
    for name in get_domains():
        if name not in SPLITS:
            continue
        domain = get_domain(name)
        for suffix, modules in {
            **{module: (module,) for module in domain.modules},
            "all": tuple(domain.modules),
        }.items():
            task = f"{name}_{suffix}"
            found[f"{DIRECTORY.name}/{task}.yaml"] = dump(_config(domain, modules, f"task_src/{task}"))
        example = _config(domain, SPLITS[name].example_modules, f"task_src/{name}")
        found[f"{EXAMPLES.name}/{name}.yaml"] = dump(example)
    return found


def _config(domain: Domain, modules: tuple[str, ...], source_path: str) -> dict[str, Any]:
    split = SPLITS[domain.name]
    return flat_config(
        domain, modules=modules, meta_train=split.meta_train, meta_test=split.meta_test, source_path=source_path
    )


def main() -> None:
    """Write all files."""
    for path, text in files().items():
        atomic.write_text(DIRECTORY.parent / path, text)


if __name__ == "__main__":
    main()
