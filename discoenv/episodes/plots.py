"""Pictures of a recorded run: ``discoenv draw RUN``.

For every domain: the scores over the episode. A domain adds its own with a file ``pictures.py`` in its folder, which
holds one function::

    def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]

It gets what the examiner saved of each exam (:meth:`discoenv.exams.examiner.Examiner.save_artifact`), writes files into
``folder``, which exists, and returns their paths. Such a file may import
:mod:`discoenv.examiners.plotting` and nothing else of discoenv.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from discoenv import arguments
from discoenv.episodes.record import EpisodeRecord, ScoreRecord, trusted_packs
from discoenv.errors import DiscoenvError, RunError
from discoenv.examiners.plotting import figure, save
from discoenv.tasks.registry import load_pack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Normalised scores are drawn within this range, so that one outlier does not flatten the rest.
_SHOWN = (-1.0, 4.0)
_COLOURS = 10


def plot_run(directory: Path, *, trust: bool = False) -> list[Path]:
    """Make the pictures of a run in ``<directory>/pictures/``, replacing those of an earlier call.

    Args:
        directory: the run directory.
        trust: whether packs that the run names may be loaded, which runs their code.

    Returns:
        Paths of the pictures; the first is that of the scores.

    Raises:
        RunError: the folder is not a run, is damaged, has a link for ``pictures``, or names packs that are not trusted.
        ArgumentError: nothing can be written there.
        PlotsMissing: matplotlib is not installed.
    """
    run = EpisodeRecord.load(directory)
    for pack in trusted_packs(run, trust=trust):
        load_pack(pack)
    folder = directory / "pictures"
    if folder.is_symlink():
        raise RunError(f"{folder}: a link, which is not followed; remove it")
    try:
        return _plotted(run, directory, arguments.writable("pictures", folder))
    except DiscoenvError:
        raise
    except Exception as error:  # what a recorded file may do to a plotting library, or to a domain's own code
        reason = f"{type(error).__name__}: {error}"
        raise RunError(f"{directory}: no picture can be made of what is recorded here: {reason}") from error


def _plotted(run: EpisodeRecord, directory: Path, folder: Path) -> list[Path]:
    made = _scores(run)
    folder.mkdir(exist_ok=True)
    domain, exams = run.task.resolve(), run.artifacts()
    # Drawn elsewhere first: a picture that is a link, to a file of the user's, is replaced and not written through.
    with tempfile.TemporaryDirectory(prefix=".pictures-", dir=directory) as drawing:
        paths = [save(made, Path(drawing) / "scores.png")]
        if exams and (domain.directory / "pictures.py").is_file():
            from discoenv.exams.examiner_process import load_domain_file  # noqa: PLC0415 - NumPy is not needed before

            paths += load_domain_file(domain.directory, "pictures").plot(exams, Path(drawing))
        return [path.replace(folder / path.name) for path in paths]


def _scores(run: EpisodeRecord) -> Figure:
    """Normalised score per dataset over the actions of an episode, and of the submission."""
    trained: dict[str, list[tuple[int, ScoreRecord]]] = {}
    tested: list[tuple[str, int, ScoreRecord]] = []
    for event in run.events:
        for dataset, score in (event.info.meta_train or {}).items():
            trained.setdefault(dataset, []).append((event.step, score))
        tested += [(dataset, event.step, score) for dataset, score in (event.info.meta_test or {}).items()]
    made, [[axes]] = figure(width=8.0, height=4.5)
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an optional extra

    for value, label in ((0.0, "trivial"), (1.0, "baseline")):
        axes.axhline(value, color="0.6", linewidth=1, linestyle=":")
        axes.annotate(label, (1.0, value), xycoords=("axes fraction", "data"), fontsize=8, color="0.4", ha="right")
    for number, (dataset, points) in enumerate(trained.items()):
        _series(axes, points, f"{dataset} (meta-train)", number, "o-")
    for number, (dataset, step, score) in enumerate(tested, start=len(trained)):
        _series(axes, [(step, score)], f"{dataset} (meta-test)", number, "*")
    axes.set_title(run.task.domain + ("" if run.result is None else f": reward {run.result.reward:.3f}"))
    axes.set_xlabel("action")
    axes.set_ylabel("normalised score")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if trained or tested:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return made


def _series(axes: Axes, points: Sequence[tuple[int, ScoreRecord]], label: str, number: int, style: str) -> None:
    low, high = _SHOWN
    axes.errorbar(
        [step for step, _ in points],
        [min(max(score.normalised, low), high) for _, score in points],
        yerr=[score.standard_error or 0.0 for _, score in points],
        fmt=style,
        color=f"C{number % _COLOURS}",
        label=label,
        markersize=10 if style == "*" else 5,
        capsize=2,
    )
