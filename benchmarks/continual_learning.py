"""Compares the continual-learning baseline with naive fine-tuning below it and joint training above it.

    python benchmarks/continual_learning.py --out docs/continual_learning.md

All three are trained here, in this process, by the domain's own code, and asked by its own examiner about the same
images. Fine-tuning has the modules of the domain's candidate ``01_fine_tuning``: no replay, no penalty.
Joint training gets the images of all experiences at once, shuffled, in as many steps with batches of MAX_BATCH: there
is nothing to forget.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console

from discoenv.domains.ContinualLearning.examiner import ContinualLearningExaminer
from discoenv.exams.examiner import Array, Learner
from discoenv.exams.runner import learner_seed
from discoenv.kits import exam
from discoenv.machine import atomic
from discoenv.tasks import stubs
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain

FINE_TUNING = Path(__file__).resolve().parents[1] / "discoenv/domains/ContinualLearning/candidates/01_fine_tuning"
METHODS = ("fine-tuning", "baseline", "joint training")
Method = Literal["fine-tuning", "baseline", "joint training"]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]

_BEGIN, _END = "<!-- benchmark: written by benchmarks/continual_learning.py -->", "<!-- /benchmark -->"


class InProcess(Learner):
    """A learner without a sandbox. ``seconds`` is what it took to answer."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seconds = 0.0

    def ask(self, method: str, *args: Any, returns: Array) -> np.ndarray[Any, Any]:
        """Call the method here."""
        return returns.check(self._call(method, args), method)

    def tell(self, method: str, *args: Any) -> None:
        """Call the method here."""
        self._call(method, args)

    def _call(self, method: str, args: tuple[Any, ...]) -> Any:
        begin = time.monotonic()
        answer = getattr(self.model, method)(*args)
        self.seconds += time.monotonic() - begin
        return answer


@contextlib.contextmanager
def imported(
    domain: Domain,
    backend: str = "default",
    override: Path | None = None,
    render: Callable[[str, str], str] = stubs.base,
) -> Iterator[Any]:
    """The files of a learner's folder as modules: ``code.learner``, ``code.memory`` and so on.

    Args:
        domain, backend: whose.
        override: a folder; the modules in it replace the domain's own.
        render: makes a module of its marked source and its file's name.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in domain.specification.fixed_files:
            shutil.copy(domain.file(file, dataset=domain.datasets[0], backend=backend), folder)
        for module in domain.modules:
            text = render(domain.module_source(module, backend=backend), f"{module}.py")
            (folder / f"{module}.py").write_text(text, encoding="utf-8")
        for path in [*(override.glob("*.py") if override else []), Path(str(exam.__file__))]:
            shutil.copy(path, folder)
        names = sorted(path.stem for path in folder.glob("*.py"))
        before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
        finally:
            sys.path.remove(str(folder))
            for module in names:
                sys.modules.pop(module, None)
            sys.modules.update(before)


def learner(code: Any, config: Mapping[str, Any], seed: int) -> InProcess:
    """A learner of one exam, as ``main.py`` makes it, on one thread."""
    import torch  # noqa: PLC0415 - takes seconds

    torch.set_num_threads(1)
    return InProcess(code.learner.ContinualLearner(MappingProxyType(dict(config)), learner_seed(seed)))


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
    model = learner(code, config, seed).model
    parts = [[each.train for each in experiences], [each.validation for each in experiences]]
    model.learn(*(np.concatenate([getattr(split, name) for split in part]) for part in parts for name in "xy"))
    accuracy = float(np.mean([(model.predict(each.test.x) == each.test.y).mean() for each in experiences]))
    return {"average_accuracy": accuracy, "forgetting_score": accuracy, "forgetting": 0.0}


def measure(
    domain: Domain, dataset: str, scale: str, backend: str, seeds: Sequence[int]
) -> dict[Method, list[dict[str, float]]]:
    """Metrics of each method, one dict per seed."""
    examiner = ContinualLearningExaminer(dataset, scale, domain.config(dataset, scale))
    found: dict[Method, list[dict[str, float]]] = {}
    with imported(domain, backend, FINE_TUNING) as code:
        found["fine-tuning"] = [examiner.examine(learner(code, examiner.config, seed), seed) for seed in seeds]
        joint = [jointly(code, examiner, seed) for seed in seeds]
    with imported(domain, backend) as code:
        found["baseline"] = [examiner.examine(learner(code, examiner.config, seed), seed) for seed in seeds]
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
    out: Annotated[Path | None, typer.Option(help="Put the table into this page.", show_default=False)] = None,
) -> None:
    """Print the table, and write it into a page between its marks."""
    console = Console(stderr=True)
    domain = get_domain("ContinualLearning")
    offline = [name for name, entry in domain.specification.datasets.items() if entry.source == "offline"]
    found: dict[str, dict[Method, list[dict[str, float]]]] = {}
    for name in dataset or offline:
        console.print(f"{name} …", highlight=False)
        found[name] = measure(domain, name, scale, backend, range(seeds))
        if out is not None:  # after each dataset, since all of them take a while
            before, _, rest = out.read_text(encoding="utf-8").partition(_BEGIN)
            after = rest.partition(_END)[2]
            text = table(scale, backend, seeds, found)
            atomic.write_text(out, f"{before}{_BEGIN}\n{text}{_END}{after}")
    print(table(scale, backend, seeds, found))


if __name__ == "__main__":
    typer.run(main)
