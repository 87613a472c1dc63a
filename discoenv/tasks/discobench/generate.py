"""Writes the DiscoBench tasks and the examples: ``python -m discoenv.tasks.discobench.generate``.

A domain's datasets are split by hand, once, for all of its tasks. Meta-test datasets differ from the meta-train ones in
kind, and none of them can be looked up where another could be chosen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from discoenv import atomic
from discoenv.tasks.discobench import DIRECTORY, EXAMPLES
from discoenv.tasks.discogen_config import flat_config
from discoenv.tasks.domain import Domain, get_domain, get_domains
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
    "OnPolicyRL": Split(
        ("MinAtar/Breakout", "MinAtar/Freeway"),
        ("MinAtar/Asterix", "MinAtar/SpaceInvaders"),
        ("loss", "optim", "targets"),
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
