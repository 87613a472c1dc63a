"""Compares the continual-learning baseline with naive fine-tuning below it and joint training above it.

    python -m discoenv.domains.ContinualLearning.studies.comparison --write

All three are trained here, in this process, by the domain's own code, and asked by its own examiner about the same
images. Fine-tuning has the modules of the domain's candidate ``01_fine_tuning``: no replay, no penalty.
Joint training gets the images of all experiences at once, shuffled, in as many steps with batches of MAX_BATCH: there
is nothing to forget.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console

from discoenv.domains.ContinualLearning.examiner import ContinualLearningExaminer
from discoenv.exams import wire
from discoenv.exams.examiner import OwnCode
from discoenv.exams.runner import learner_seed
from discoenv.exams.state import State, checked
from discoenv.kits.exam import messages
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.testing import import_learner

FINE_TUNING = Path(__file__).resolve().parents[1] / "candidates/01_fine_tuning"
METHODS = ("fine-tuning", "baseline", "joint training")
Method = Literal["fine-tuning", "baseline", "joint training"]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]

_BEGIN, _END = "<!-- table: written by studies/comparison.py -->", "<!-- /table -->"
RESULTS = Path(__file__).resolve().parents[1] / "results.md"


def learner(code: Any, config: Mapping[str, Any], seed: int, previous: Mapping[str, Any] | None = None) -> Any:
    """The learner of one experience of an exam, as ``main.py`` makes it, on one thread."""
    import torch

    torch.set_num_threads(1)
    return code.learner.ContinualLearner(MappingProxyType(dict(config)), learner_seed(seed), previous or {})


def sent(tree: Any) -> Any:
    """A tree of arrays and numbers as the other side of the connection reads it."""
    message = messages.pack(tree)
    start = messages.LENGTHS.size
    header, _ = messages.LENGTHS.unpack(message[:start])
    return wire.decode(message[start : start + header], message[start + header :])


def stages(
    code: Any,
    examiner: ContinualLearningExaminer,
    seed: int,
    prepare: Callable[[Any], object] = lambda model: None,
) -> Iterator[tuple[Any, State, dict[str, float]]]:
    """Train on one experience after another and examine, as an exam does.

    Args:
        code: the files of a workspace, as :func:`import_learner` gives them.
        examiner, seed: of the exam.
        prepare: called with each learner before it learns.

    Yields:
        After each experience the learner, the state that it handed over, and what the examiner found.
    """
    previous: dict[str, Any] = {}
    for stage in range(examiner.stages(seed)):
        model = learner(code, examiner.config, seed, previous)
        prepare(model)
        model.learn(**examiner.stage_data(seed, stage))
        state = checked(sent(model.state()))
        examiner.check_state(state)
        metrics = examiner.examine_stage(OwnCode(code.answer, examiner.config, state), seed, stage)
        yield model, state, metrics
        previous = sent(examiner.carried_state(state, seed, stage))


def examined(code: Any, examiner: ContinualLearningExaminer, seed: int) -> dict[str, float]:
    """The metrics of an exam in this process."""
    *_, (_, _, metrics) = stages(code, examiner, seed)
    return metrics


def jointly(code: Any, examiner: ContinualLearningExaminer, seed: int) -> dict[str, float]:
    """Average accuracy after training on all experiences at once, as if they were one."""
    experiences = examiner.experiences(seed)
    config = dict(examiner.config) | {
        "TASKS": 1,
        "CLASSES_PER_TASK": examiner.config["CLASSES"],
        "TRAIN_SAMPLES": sum(len(each.train) for each in experiences),
        "EPOCHS": examiner.config["EPOCHS"] * examiner.config["MAX_BATCH"] // examiner.config["BATCH"],
        "BATCH": examiner.config["MAX_BATCH"],
    }
    model = learner(code, config, seed)
    parts = [[each.train for each in experiences], [each.validation for each in experiences]]
    model.learn(*(np.concatenate([getattr(split, name) for split in part]) for part in parts for name in "xy"))
    answers = code.answer.make(config, model.state())
    accuracy = float(np.mean([(answers.predict(each.test.x) == each.test.y).mean() for each in experiences]))
    return {"average_accuracy": accuracy, "forgetting_score": accuracy, "forgetting": 0.0}


def measure(
    domain: Domain, dataset: str, scale: str, backend: str, seeds: Sequence[int]
) -> dict[Method, list[dict[str, float]]]:
    """Metrics of each method, one dict per seed."""
    examiner = ContinualLearningExaminer(dataset, scale, domain.config(dataset, scale))
    found: dict[Method, list[dict[str, float]]] = {}
    with import_learner(domain, backend=backend, modules=FINE_TUNING) as code:
        found["fine-tuning"] = [examined(code, examiner, seed) for seed in seeds]
        joint = [jointly(code, examiner, seed) for seed in seeds]
    with import_learner(domain, backend=backend) as code:
        found["baseline"] = [examined(code, examiner, seed) for seed in seeds]
    return found | {"joint training": joint}


def values(metrics: Sequence[Mapping[str, float]], name: str) -> FloatArray:
    """A metric's values over seeds."""
    return np.array([each[name] for each in metrics])


def is_ordered(found: Mapping[Method, Sequence[Mapping[str, float]]]) -> bool:
    """Whether average accuracies rise from method to method by over three standard errors of the difference."""
    rows = [values(found[method], "average_accuracy") for method in METHODS]  # type: ignore[index]
    return all(
        upper.mean() - lower.mean() > 3 * np.hypot(_standard_error(upper), _standard_error(lower))
        for lower, upper in itertools.pairwise(rows)
    )


def table(scale: str, backend: str, seeds: int, found: Mapping[str, Mapping[Method, Any]]) -> str:
    """The comparison in Markdown: means and standard errors over seeds."""
    lines = [
        f"Scale `{scale}`, backend `{backend}`, {seeds} exams, mean ± standard error.\n",
        "| dataset | | average accuracy | forgetting | AA − F/2 |",
        "|---|---|---|---|---|",
    ]
    for dataset, methods in found.items():
        for method in METHODS:
            columns = [values(methods[method], name) for name in ("average_accuracy", "forgetting", "forgetting_score")]  # type: ignore[index]
            cells = [f"{column.mean():.3f} ± {_standard_error(column):.3f}" for column in columns]
            lines.append(f"| {dataset} | {method} | {' | '.join(cells)} |")
    ordered = sum(is_ordered(methods) for methods in found.values())
    lines.append(
        f"\nFine-tuning < baseline < joint training by more than three standard errors of each difference on {ordered} "
        f"of {len(found)} datasets."
    )
    return "\n".join(lines) + "\n"


def _standard_error(column: FloatArray) -> float:
    return float(column.std(ddof=1) / np.sqrt(len(column)))


def main(
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "small",
    backend: Annotated[str, typer.Option(help="default, transformer or parameter_isolation.")] = "default",
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Exams per dataset and method.")] = 5,
    write: Annotated[bool, typer.Option("--write", help="Put the table into the domain's results.md.")] = False,
) -> None:
    """Print the table, and put it into the page of results."""
    console = Console(emoji=False, stderr=True)
    domain = get_domain("ContinualLearning")
    offline = [name for name, entry in domain.specification.datasets.items() if entry.source == "offline"]
    found: dict[str, dict[Method, list[dict[str, float]]]] = {}
    for name in dataset or offline:
        console.print(f"{name} …", highlight=False)
        found[name] = measure(domain, name, scale, backend, range(seeds))
        if write:  # after each dataset, since all of them take a while
            page, text = RESULTS.read_text(encoding="utf-8"), table(scale, backend, seeds, found)
            atomic.write_text(RESULTS, replace_section(page, _BEGIN, _END, text))
    print(table(scale, backend, seeds, found))


if __name__ == "__main__":
    typer.run(main)
