"""The texts that an agent reads: the task at the start, and the result of each action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discoenv import objectives
from discoenv.episodes.record import RunRecord, best_run
from discoenv.exams.output import last_lines
from discoenv.exams.result import ExamResult
from discoenv.objectives import Reward
from discoenv.scoring.baselines import Baseline
from discoenv.scoring.comparison import Comparison, Race, compare
from discoenv.scoring.scores import Score, Scoring
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
        "reports the scores; with `seeds` on that many exams per dataset, and with `race` only on as many as decide "
        "whether it is better than the best run;\n"
        "* `history` lists the runs, and `compare` compares two of them (`runs`) in the exams that both have had; "
        "these cost no action, and neither does a run of files that were run before;\n"
        "* `submit` ends the episode: your modules are trained and scored on the hidden datasets.\n\n"
        f"You have {max_steps} actions; when they are used up, the files are submitted as they are.\n\n"
        f"{compute}"
        "Training and answering together may take this much compute (seconds of one processor core, or of a GPU), or "
        f"the exam has failed:\n\n{lines}\n{_hidden(hidden_costs)}"
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


def scoring(task: Task, entries: Mapping[str, Baseline], scoring: Scoring) -> str:
    """The part of the observation text of ``reset()`` that explains scores and rewards, with numbers.

    Args:
        task: the task.
        entries: floor and baseline by dataset; those of meta-test datasets are not shown.
        scoring: how scores and rewards are made.
    """
    cost = objectives.get(task.objective).cost
    heads = ["dataset", "metric", "floor (0)", "baseline (1)", *(["threshold"] if cost else [])]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for dataset in task.meta_train:
        entry = entries[dataset]
        floor, baseline = entry.floor.mean, entry.baseline.mean
        cells = [dataset, entry.metric, f"{floor:.4g}", f"{baseline:.4g}"]
        if cost:
            cells.append(f"{floor + task.baseline_scale * (baseline - floor):.4g}")
        lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines)
    n = "n = (metric − floor) / (baseline − floor)"
    if scoring.reference == "paired":
        n = (
            "n = 1 + (metric − metric of the baseline in the same exam) / (baseline − floor), oriented so that more is "
            "better: the baseline implementation itself scores exactly 1"
        )
    return f"\n## How you are scored\n\nAn exam's score is {n}. {_rewarded(task, scoring)}\n\n{table}\n"


def _rewarded(task: Task, scoring: Scoring) -> str:
    if task.objective != "performance":
        return (
            "Scores have to reach the threshold on every dataset; a failed exam misses it, and then the reward is 0, "
            "the lowest."
            if objectives.get(task.objective).cost
            else objectives.get(task.objective).description
        )
    if scoring.transform == "linear":
        return (
            "The reward is the mean over the hidden datasets of n, each clipped to [−1, 10]; a failed exam counts as "
            "the floor."
        )
    return (
        "The reward is the mean over the exams of the hidden datasets of what each is worth: a failed exam (a crash, a "
        "timeout, an answer that is not valid) −1; below the floor n/(1 − n), which is between −1 and 0; from floor to "
        "baseline n; above it 1 + ln n. So a solution that works, however bad, is worth more than one that fails."
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


def _references(scores: Sequence[Score]) -> list[str]:
    """What the base modules reached in the same exams, where scores are compared with that."""
    means = []
    for score in scores:
        known = [value for value in score.references if value is not None]
        means += [f"{score.dataset} {sum(known) / len(known):.4g}"] if known else []
    return [f"The baseline in the same exams: {', '.join(means)}.\n"] if means else []


def _failed(score: Score) -> str:
    """The metric of a dataset of which an exam failed, in a table's cell."""
    failures = sum(result.status != "ok" for result in score.results)
    if failures == len(score.results):
        return f"failed ({score.metric:.4g})"
    return f"{score.metric:.4g} ({failures} of {len(score.results)} exams failed)"


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
        value = f"{score.metric:.4g}" if score.ok else _failed(score)
        value = f"{score.entry.metric} {value}" if several else value
        error = f" ± {score.noise:.2g}" if score.noise is not None else ""
        lines.append(
            f"| {score.dataset} | {value} | {score.normalised:.3f}{error} | {score.entry.floor.mean:.4g} "
            f"| {score.entry.baseline.mean:.4g} | {_use(score)} |"
        )
    parts = ["\n".join(lines) + "\n" + also_measured(scores), *_references(scores)]
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


def same_as(number: int, *, free: bool) -> str:
    """The first line of the text of a ``run`` of files that had been run before."""
    cost = ", and no action was spent" if free else ""
    return f"Same as run {number}: these files have been run before. Nothing was trained{cost}.\n"


def compared(one: int, other: int, found: Comparison, *, best: bool = False) -> str:
    """What is known of the difference between two runs, in one line.

    Args:
        one, other: their numbers.
        found: the comparison.
        best: whether the other one is the best run so far.
    """
    against = f"run {other}, the best before it" if best else f"run {other}"
    if not found.exams:
        return f"Run {one} and run {other} have had no exam in common.\n"
    exams = f"{found.exams} exam{'s' if found.exams > 1 else ''} that both have had"
    text = f"Run {one} against {against}, in the {exams}: difference {found.difference:+.3f}"
    if found.low is None or found.high is None or found.probability is None:
        return f"{text}. With one seed per dataset, how much of it is noise is not known: run with more `seeds`.\n"
    words = {"better": "it is better", "worse": "it is worse", "alike": "the difference is within noise"}
    source = " (by the spread of the baseline over seeds)" if found.method == "spread" else ""
    return (
        f"{text} ({found.confidence:.0%} interval {found.low:+.3f} to {found.high:+.3f}{source}), probability of being "
        f"better {found.probability:.0%}: {words[found.verdict]}.\n"
    )


def raced(race: Race, most: int) -> str:
    """How a race ended, in one line."""
    seeds = f"{race.seeds} seed{'s' if race.seeds > 1 else ''} of at most {most}"
    ends = {
        "decided": "was decided",
        "hopeless": "ended undecided, because the seeds left would hardly decide it,",
        "all": "ended undecided",
        "stopped": "ended undecided, because the compute budget is spent,",
    }
    return f"The race {ends[race.ended]} after {seeds}.\n"


def history(runs: Sequence[RunRecord]) -> str:
    """All runs as a Markdown table; each is compared with the best in the exams that both have had."""
    best = best_run(runs)
    if best is None:
        return "There was no run yet.\n"
    lines = [
        f"## Runs\n\nThe best so far is run {best.number}. Differences from it are in what exams are worth, over the "
        "datasets and seeds that both have had.\n",
        "| run | after action | datasets | exams | mean normalised | reward | difference from the best | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        cells = [str(run.number), str(run.step), ", ".join(run.datasets), str(sum(map(len, run.exams.values())))]
        cells += [f"{run.score:.3f}", f"{run.reward:.3f}"]
        if run.same_as is not None:
            cells += ["", f"same as run {run.same_as}"]
        elif run is best:
            cells += ["", "best"]
        else:
            cells += _difference(compare(run.exams, best.exams, spreads=run.spreads))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _difference(found: Comparison) -> list[str]:
    if not found.exams:
        return ["–", "no exam in common"]
    if found.low is None or found.high is None:
        return [f"{found.difference:+.3f}", "noise not known"]
    words = {"better": "better", "worse": "worse", "alike": "within noise"}
    return [f"{found.difference:+.3f} ± {(found.high - found.low) / 2:.3f}", words[found.verdict]]
