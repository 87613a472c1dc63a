"""The meta-meta loop: improves the prompt of an agent over many sampled tasks, and tests it on DiscoBench tasks.

``python agents/prompt_optimiser.py --model gpt-5-mini -k 5`` optimises on 5 tasks; ``--study`` does so on 1, 5, 10 and
30, and compares the prompts. ``-r DIR`` goes on with a run that was stopped. The search itself stands in
``agents/prompt_search.py``.
"""

from __future__ import annotations

import datetime
import functools
import json
import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from discoenv.agents import options
from discoenv.agents.llm import best_of_n, react
from discoenv.agents.llm.budget import BudgetSpent
from discoenv.agents.prompts.episodes import (
    Assignment,
    Episode,
    EpisodePlayer,
    EpisodeSpoilt,
    Player,
    sample_assignments,
)
from discoenv.agents.prompts.optimise import Optimised, Reflector, most_episodes, optimise
from discoenv.machine import atomic
from discoenv.scoring import baselines
from discoenv.tasks import discobench
from discoenv.tasks.reading import read_task
from discoenv.tasks.task import Setting, Task

#: Numbers of training tasks that a study compares.
STUDY: Final = (1, 5, 10, 30)


@dataclass(frozen=True)
class LlmOptions(options.ModelOptions):
    """The agent's model; the budgets are those of one episode."""

    model: Annotated[str, typer.Option(envvar="DISCOENV_MODEL", help="The agent's model. Needed without -r.")] = ""
    max_tokens: Annotated[int, typer.Option(min=1, help="Budget of one episode: tokens.")] = 400_000
    max_calls: Annotated[int, typer.Option(min=1, help="Budget of one episode: answers of the model.")] = 40
    reflection_model: Annotated[str, typer.Option(help="Rewrites the prompt [default: the agent's].")] = ""


@dataclass(frozen=True)
class StudyOptions:
    """What is optimised and on what; of no use with ``-r``."""

    k: Annotated[int, typer.Option("-k", "--tasks", min=1, help="Training tasks.")] = 5
    study: Annotated[bool, typer.Option("--study", help="Compare 1, 5, 10 and 30 training tasks.")] = False
    rounds: Annotated[int, typer.Option(min=0, help="Prompts proposed in each search.")] = 10
    minibatch: Annotated[int, typer.Option(min=1, help="Tasks on which a proposal is compared first.")] = 3
    agent: Annotated[str, typer.Option(help="react or best_of_n.")] = "react"
    max_steps: Annotated[int, typer.Option(min=2, help="Actions per episode.")] = 5
    domain: Annotated[list[str] | None, typer.Option(help="Domains (repeat the option) [default: all].")] = None
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "small"
    seed: Annotated[int, typer.Option(help="Of tasks, episodes and searches.")] = 0
    held_out: Annotated[
        list[str] | None, typer.Option(help="Tasks to test on (repeat the option) [default: drawn from DiscoBench].")
    ] = None
    held_out_count: Annotated[int, typer.Option(min=1, help="How many DiscoBench tasks to draw.")] = 8
    prompt_file: Annotated[Path | None, typer.Option(help="The first prompt [default: the agent's].")] = None


@dataclass(frozen=True)
class Settings:
    """What defines a run; ``settings.json``.

    Attributes:
        agent: ``react`` or ``best_of_n``.
        model: fields of :class:`LlmOptions` that decide how the agent plays.
        prompt: the first prompt.
        ks: numbers of training tasks, one search for each.
        training, held_out: tasks (as plain values) with the seeds of their episodes; a search takes the first k.
    """

    agent: str
    model: dict[str, Any]
    prompt: str
    ks: list[int]
    rounds: int
    minibatch: int
    max_steps: int
    seed: int
    training: list[dict[str, Any]]
    held_out: list[dict[str, Any]]

    def assignments(self, tasks: Sequence[dict[str, Any]]) -> list[Assignment]:
        """Tasks and seeds as objects."""
        return [Assignment(Task.parse(each["task"]), each["seed"]) for each in tasks]

    def budget(self) -> dict[str, int]:
        """The most that the run can spend: episodes, answers of models, tokens."""
        searches = [most_episodes(k, rounds=self.rounds, minibatch=self.minibatch) for k in self.ks]
        episodes = sum(searches) + len(self.held_out) * (1 + len(self.ks))
        reflections = self.rounds * len(self.ks)
        return {
            "episodes": episodes,
            "calls": episodes * self.model["max_calls"] + reflections,
            "tokens": episodes * self.model["max_tokens"] + reflections * self.model["context_tokens"],
        }


#: Options that belong to a run, and not to where its model is to be found.
_PLAYING: Final = (
    "model",
    "reflection_model",
    "temperature",
    "tool_calls",
    "max_completion_tokens",
    "context_tokens",
    "max_tokens",
    "max_calls",
)


def new_settings(study: StudyOptions, llm: LlmOptions) -> Settings:
    """Settings of a new run: draws its tasks.

    Raises:
        typer.BadParameter: an option is wrong.
    """
    if not llm.model:
        raise typer.BadParameter("--model is needed")
    if study.agent not in ("react", "best_of_n"):
        raise typer.BadParameter(f"--agent is {study.agent!r}; known are react and best_of_n")
    ks = list(STUDY) if study.study else [study.k]
    domains = list(study.domain or []) or None
    training = sample_assignments(max(ks), seed=study.seed, domains=domains, scale=study.scale)  # type: ignore[arg-type]
    names = list(study.held_out or [])
    if not names:
        names = [
            name for name in discobench.get_discobench_tasks() if not domains or discobench.domain_of(name) in domains
        ]
    defaults = {"scale": study.scale, "train_seeds": 1, "test_seeds": 1}
    held_out = [Assignment(read_task(name, defaults), study.seed) for name in names]
    if not study.held_out:
        held_out = [each for each in held_out if _is_calibrated(each.task)]
        chosen = np.random.default_rng(study.seed).permutation(len(held_out))[: study.held_out_count]
        held_out = [held_out[int(index)] for index in sorted(chosen)]
    if not held_out:
        raise typer.BadParameter(f"no DiscoBench task has baselines at scale {study.scale}: give some by --held-out")
    default_prompt = react.INSTRUCTIONS if study.agent == "react" else best_of_n.INSTRUCTIONS
    return Settings(
        agent=study.agent,
        model={name: getattr(llm, name) for name in _PLAYING},
        prompt=study.prompt_file.read_text(encoding="utf-8") if study.prompt_file else default_prompt,
        ks=ks,
        rounds=study.rounds,
        minibatch=study.minibatch,
        max_steps=study.max_steps,
        seed=study.seed,
        training=[_plain(each) for each in training],
        held_out=[_plain(each) for each in held_out],
    )


def _is_calibrated(task: Task) -> bool:
    domain = task.resolve()
    return all(
        baselines.has_entry(Setting(domain, task.backend, dataset, task.scale))
        for dataset in (*task.meta_train, *task.meta_test)
    )


def run(
    directory: Path, settings: Settings, player: EpisodePlayer, reflector: Callable[[Path], Reflector]
) -> dict[str, Any]:
    """All searches, then the tests on held-out tasks; what ``study.json`` says.

    Args:
        directory: of the run.
        settings: what defines it.
        player: plays episodes.
        reflector: makes one for the folder of a search.

    Raises:
        EpisodeSpoilt, BudgetSpent: as :func:`discoenv.agents.prompts.optimise.optimise`; call again to go on.
    """
    training, held_out = (settings.assignments(tasks) for tasks in (settings.training, settings.held_out))
    rows = [_row(0, Optimised(settings.prompt, math.nan, math.nan, [settings.prompt], []), held_out, player)]
    for k in settings.ks:
        folder = directory / f"k{k:02d}"
        found = optimise(
            folder,
            training[:k],
            player,
            reflector(folder),
            prompt=settings.prompt,
            rounds=settings.rounds,
            minibatch=settings.minibatch,
            seed=settings.seed,
        )
        rows.append(_row(k, found, held_out, player))
    study = {"budget": settings.budget(), "held_out_tasks": [each.task.task_id for each in held_out], "rows": rows}
    atomic.write_text(directory / "study.json", json.dumps(study, indent=1) + "\n")
    return study


def _row(k: int, found: Optimised, held_out: Sequence[Assignment], player: EpisodePlayer) -> dict[str, Any]:
    """One prompt's scores; k = 0 is the prompt that the searches began with."""
    rewards = [episode.reward for episode in player.play(held_out, found.prompt)]
    count = len(rewards)
    return {
        "k": k,
        "prompt": found.prompt,
        "training_score": None if k == 0 else found.score,
        "training_score_before": None if k == 0 else found.seed_score,
        "accepted": len(found.prompts) - 1,
        "held_out": rewards,
        "held_out_mean": float(np.mean(rewards)),
        "held_out_se": float(np.std(rewards, ddof=1) / math.sqrt(count)) if count > 1 else None,
    }


def print_study(console: Console, study: dict[str, Any]) -> None:
    """The table of a study."""
    tasks = len(study["held_out_tasks"])
    table = Table(
        "training tasks", "reward on them before", "after", "prompts accepted", f"reward on {tasks} held-out tasks"
    )
    for row in study["rows"]:
        before, after = (
            "–" if row[key] is None else f"{row[key]:.3f}" for key in ("training_score_before", "training_score")
        )
        error = "" if row["held_out_se"] is None else f" ± {row['held_out_se']:.3f}"
        name = "0 (first prompt)" if row["k"] == 0 else str(row["k"])
        table.add_row(name, before, after, str(row["accepted"]), f"{row['held_out_mean']:.3f}{error}")
    console.print(table)


def main(
    study: StudyOptions,
    llm: LlmOptions,
    resume: Annotated[Path | None, typer.Option("-r", "--resume", help="Go on with the run in this folder.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be spent.")] = False,
    sandbox: Annotated[str, typer.Option(help="Provider: auto, bubblewrap, process, …")] = "auto",
    parallel: Annotated[int, typer.Option(min=1, help="Episodes at a time.")] = 4,
    exams_at_once: Annotated[
        int | None, typer.Option(min=1, help="Exams to run concurrently [default: one per core].")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where the run directory is written.")] = Path("runs"),
) -> None:
    """Improve an agent's prompt over sampled tasks, and test it on held-out ones."""
    console = Console()
    settings = new_settings(study, llm) if resume is None else _load(resume)
    budget = settings.budget()
    searches = ", ".join(str(k) for k in settings.ks)
    lines = [
        f"agent       {settings.agent}, {settings.model['model']}",
        f"searches    over {searches} training tasks, {settings.rounds} rounds each; {len(settings.held_out)} held out",
        f"at most     {budget['episodes']:,} episodes, {budget['calls']:,} model calls, {budget['tokens']:,} tokens",
    ]
    console.print(Panel(escape("\n".join(lines)), title="budget", expand=False))
    if dry_run:
        return
    directory = resume or _new_directory(runs)
    atomic.write_text(directory / "settings.json", json.dumps(asdict(settings), indent=1) + "\n")
    console.print(f"recorded in {directory}", highlight=False, soft_wrap=True)
    llm = replace(llm, **settings.model)
    reflecting = replace(
        llm,
        model=llm.reflection_model or llm.model,
        max_calls=max(1, settings.rounds * len(settings.ks)),
        max_tokens=2**40,
        tool_calls="auto",
    ).make()

    def on_episode(episode: Episode) -> None:
        console.print(f"  {episode.task_id}: reward {episode.reward:.3f} ({episode.ended_by}, {episode.calls} calls)")

    player = EpisodePlayer(
        directory,
        _player(settings),
        llm.make,
        player={"agent": settings.agent, **settings.model},
        max_steps=settings.max_steps,
        sandbox=sandbox,
        parallel=parallel,
        exams_at_once=exams_at_once,
        on_episode=on_episode,
    )
    try:
        print_study(console, run(directory, settings, player, lambda folder: Reflector(folder, reflecting)))
    except (EpisodeSpoilt, BudgetSpent) as error:
        console.print(f"[bold red]stopped:[/] {escape(str(error))}\ngo on with -r {directory}", soft_wrap=True)
        raise typer.Exit(1) from None
    finally:
        player.close()
        reflecting.close()


def _player(settings: Settings) -> Player:
    if settings.agent == "react":
        return react.play
    return functools.partial(best_of_n.play, samples=settings.max_steps - 1)


def _plain(assignment: Assignment) -> dict[str, Any]:
    return {"task": assignment.task.model_dump(mode="json"), "seed": assignment.seed}


def _load(directory: Path) -> Settings:
    path = directory / "settings.json"
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise typer.BadParameter(f"-r {directory}: this is not a run that can go on ({error})") from error


def _new_directory(root: Path) -> Path:
    now = datetime.datetime.now().astimezone()
    directory = root / f"{now:%Y-%m-%d_%H-%M-%S}_prompt_{uuid.uuid4().hex[:8]}"
    directory.mkdir(parents=True)
    return directory


if __name__ == "__main__":
    typer.run(options.command(main))
