"""The texts that an agent reads: the task at the start, and the result of each action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discoenv.exams.output import last_lines
from discoenv.exams.result import ExamResult
from discoenv.objectives import Reward
from discoenv.scoring.scores import Score
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import describe

_STDOUT_CHARACTERS = 1500
_MESSAGE_CHARACTERS = 2000


def introduction(
    task: Task,
    *,
    max_steps: int,
    budgets: Mapping[str, float],
    hidden_costs: Sequence[float],
    max_file_bytes: int,
    compute_budget_s: float | None,
) -> str:
    """The observation text of ``reset()``.

    ``budgets`` are those of the visible datasets, in seconds; ``hidden_costs`` is what an exam of each hidden dataset
    costs the baseline, relative to the mean of the visible ones.
    """
    compute = ""
    if compute_budget_s is not None:
        compute = (
            f"All your runs together may take {compute_budget_s:.0f} s; when they are used up, the files are submitted "
            "as they are.\n\n"
        )
    files = ", ".join(f"{module}.py" for module in task.modules)
    lines = "\n".join(f"* {dataset}: {seconds:.3g} s" for dataset, seconds in budgets.items())
    return (
        f"{describe(task.side('meta_train'))}\n"
        "## How to act\n\n"
        f"You may edit {files} and nothing else (at most {max_file_bytes} bytes each). An action holds edits "
        "(whole files, or one piece of text replaced by another) and a command:\n\n"
        "* `edit` only changes the files;\n"
        "* `run` also trains with them on the datasets above (or on those that the action lists under `datasets`) and "
        "reports the scores;\n"
        "* `submit` ends the episode: your modules are trained and scored on the hidden datasets.\n\n"
        f"You have {max_steps} actions; when they are used up, the files are submitted as they are.\n\n"
        f"{compute}"
        "Training and answering together may take this much compute (seconds of one processor core, or of a GPU), or "
        f"the exam ends with score 0:\n\n{lines}\n{_hidden(hidden_costs)}"
    )


def _hidden(costs: Sequence[float]) -> str:
    """What the exams of the hidden datasets cost; empty where that is not known."""
    if not costs:
        return ""
    least, most = (f"{cost:.1g}" if cost < 1 else f"{cost:.2g}" for cost in (min(costs), max(costs)))
    often = least if least == most else f"between {least} and {most}"
    return (
        f"\nOn the hidden datasets the baseline costs {often} times what it costs on these, on average; budgets are in "
        "proportion.\n"
    )


def refused(reason: str) -> str:
    """The observation text of an action that could not be taken."""
    return f"The action was refused and nothing was changed: {reason}\n"


def edited(names: Sequence[str]) -> str:
    """The first line of the observation text of an accepted action: which files it changed."""
    return f"Changed: {', '.join(names)}.\n" if names else "Nothing was changed.\n"


def left(steps: int, compute_s: float | None) -> str:
    """What is left of the episode: actions, and seconds of compute if they are limited."""
    compute = "" if compute_s is None else f" {max(0.0, compute_s):.0f} s of compute left."
    return f"{steps} actions left.{compute}"


def objective(task: Task, reward: Reward) -> str:
    """For objectives that compare costs: what the present files cost, and whether they are good enough to count."""
    parts = reward.parts
    if "cost" not in parts:
        return ""
    lines = [
        f"\n### Objective {task.objective}: {reward.value:.3f} (baseline cost / cost; 0 if any threshold is missed)\n",
        f"| dataset | threshold | passed | cost ({parts['unit']}) | baseline cost | ratio |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {dataset} | {parts['threshold'][dataset]:.4g} | {'yes' if parts['passes'][dataset] else 'no'} "
        f"| {cost:.4g} | {parts['baseline_cost'][dataset]:.4g} | {parts['ratio'][dataset]:.3f} |"
        for dataset, cost in parts["cost"].items()
    ]
    return "\n".join(lines) + "\n"


def stopped(results: Sequence[ExamResult], total: int) -> str:
    """The observation text of a ``run`` that was stopped: what its finished exams came to."""
    lines = [f"## The run was stopped when {len(results)} of {total} exams had finished\n"]
    if results:
        lines += ["| dataset | exam | metrics |", "|---|---|---|"]
        lines += [f"| {each.dataset} | {each.number + 1} | {_measured(each)} |" for each in results]
    lines.append("\nIt counts as an action. A run of the same files does not repeat finished exams.")
    return "\n".join(lines) + "\n"


def _measured(result: ExamResult) -> str:
    if result.metrics is None:
        return f"{result.status}: {result.message}"
    return ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())


def also_measured(scores: Sequence[Score]) -> str:
    """What examiners measured besides the metrics that count: means over the exams that were passed, by dataset."""
    lines = []
    for score in scores:
        measured = [result.metrics for result in score.results if result.metrics is not None]
        names = dict.fromkeys(name for metrics in measured for name in metrics if name != score.entry.metric)
        values = {name: [metrics[name] for metrics in measured if name in metrics] for name in names}
        shown = ", ".join(f"{name} {sum(each) / len(each):.4g}" for name, each in values.items())
        lines += [f"* {score.dataset}: {shown}"] if shown else []
    return "\n".join(["\nAlso measured:\n", *lines, ""]) if lines else ""


def _use(score: Score) -> str:
    """How much of the compute budget the exams of a dataset spent, on average, as in ``30 of 45 s; baseline 9 s``."""
    spent = sum(result.spent_s for result in score.results) / len(score.results)
    used = f"{spent:.3g} of {score.results[0].budget_s:.3g} s"
    baseline = (score.cost_entry or score.entry).work_s
    return f"{used}; baseline {baseline:.2g} s" if baseline else used


def report(scores: Sequence[Score], *, title: str) -> str:
    """Scores of a ``run`` or ``submit`` as a Markdown table, then what went wrong and what was printed."""
    metrics = {score.entry.metric for score in scores}
    several = len(metrics) > 1  # as packs in DiscoGen's format may have
    lines = [
        f"## {title}\n",
        f"| dataset | {'metric' if several else min(metrics)} | normalised | floor | baseline | seconds of budget |",
        "|---|---|---|---|---|---|",
    ]
    for score in scores:
        value = f"{score.metric:.4g}" if score.ok else f"failed ({score.metric:.4g})"
        value = f"{score.entry.metric} {value}" if several else value
        error = f" ± {score.standard_error:.2g}" if score.standard_error is not None else ""
        lines.append(
            f"| {score.dataset} | {value} | {score.normalised:.3f}{error} | {score.entry.floor.mean:.4g} "
            f"| {score.entry.baseline.mean:.4g} | {_use(score)} |"
        )
    parts = ["\n".join(lines) + "\n" + also_measured(scores)]
    reported: set[str] = set()
    for score in scores:
        for result in score.results:
            frames = last_lines(result.traceback, _MESSAGE_CHARACTERS)
            problem = f"{result.message}\n" + (f"\n```\n{frames}\n```\n" if frames else "")
            if result.status != "ok" and problem not in reported:
                reported.add(problem)
                parts.append(f"### {score.dataset}: {result.status}\n\n{problem}")
        printed = score.results[-1].stdout.strip()
        if printed:
            parts.append(
                f"### {score.dataset}: end of the output\n\n```\n{last_lines(printed, _STDOUT_CHARACTERS)}\n```\n"
            )
    return "\n".join(parts)
