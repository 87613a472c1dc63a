"""An agent without a language model: random changes of the base modules, keeping what scores better.

It is the floor for agents that read and think: hill climbing on the meta-train score over the changes of
:mod:`discoenv.agents.search.mutations`. It works on any domain that has base modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import gymnasium as gym
import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

import discoenv  # noqa: F401 - registers the environment
from discoenv.agents.scripted import Display
from discoenv.agents.search.mutations import Mutation, NothingToMutate, mutate
from discoenv.env import DiscoGenEnv
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

_ATTEMPTS = 100


@dataclass(frozen=True)
class Trial:
    """Modules that were run.

    Attributes:
        changes: what was changed to get them.
        score: mean normalised meta-train score; −∞ if there is none.
        reward: what the task's objective makes of the meta-train scores: for costs, 0 below the threshold.
    """

    modules: dict[str, str]
    changes: tuple[str, ...]
    score: float
    reward: float


class RandomSearch:
    """Runs the base modules, then random changes of the best so far; submits the best.

    Args:
        task: the task, as ``info["task"]`` holds it.
        seed: of the changes.
        changes: mean number of places that one candidate changes; at least 1.

    Attributes:
        trials: what was run, in order.
    """

    def __init__(self, task: Task | Mapping[str, Any], *, seed: int = 0, changes: float = 1.5) -> None:
        if changes < 1:
            raise ValueError(f"changes is {changes}; a candidate that changes nothing is none")
        self._task = Task.parse(dict(task) if isinstance(task, Mapping) else task)
        self._configuration = self._task.resolve().config(self._task.meta_train[0], self._task.scale)
        self._rng = np.random.default_rng(seed)
        self._changes = changes
        self._seen: set[tuple[str, ...]] = set()
        self._running: Mutation | None = None
        self.trials: list[Trial] = []

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
        """The next action. Call it with the latest observation and info; the first call starts an episode."""
        if self._running is not None:
            score, reward = (float(info.get(key, -np.inf)) for key in ("score", "meta_train_reward"))
            self.trials.append(Trial(self._running.modules, self._running.changes, score, reward))
            self._running = None
        if observation["steps_left"] > 1:
            self._running = self._next()
        if self._running is None:
            modules = self.best.modules if self.trials else base_modules(self._task)
            return {"edits": _edits(modules), "command": "submit"}
        return {"edits": _edits(self._running.modules), "command": "run"}

    @property
    def best(self) -> Trial:
        """The trial with the best reward; of equal ones that with the best score, and of these the first."""
        return max(self.trials, key=lambda trial: (trial.reward, trial.score))

    def _next(self) -> Mutation | None:
        """Modules that were not run yet; None if no change leads to any."""
        if not self.trials:
            return self._remembered(Mutation(base_modules(self._task), ()))
        for _ in range(_ATTEMPTS):
            count = int(self._rng.geometric(1 / self._changes))
            try:
                mutation = mutate(self.best.modules, self._rng, changes=count, configuration=self._configuration)
            except NothingToMutate:
                return None
            if tuple(mutation.modules.values()) not in self._seen:
                return self._remembered(mutation)
        return None

    def _remembered(self, mutation: Mutation) -> Mutation:
        self._seen.add(tuple(mutation.modules.values()))
        return mutation


def _edits(modules: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"path": name, "content": text} for name, text in modules.items()]


def play(
    env: gym.Env[Any, Any], *, seed: int | None = None, changes: float = 1.5, display: Display | None = None
) -> tuple[float, list[Trial]]:
    """Play one episode: its reward, and what was run."""
    observation, info = env.reset(seed=seed)
    if display:
        display.task(info)
    agent = RandomSearch(info["task"], seed=seed or 0, changes=changes)
    reward, ended = 0.0, False
    while not ended:
        action = agent.act(observation, info)
        if display:
            _announce(display, agent, action, observation["files"])
        observation, step_reward, terminated, truncated, info = env.step(action)
        reward, ended = float(step_reward), terminated or truncated
        if display:
            _report(display, info)
    return reward, agent.trials


def _announce(display: Display, agent: RandomSearch, action: dict[str, Any], files: Mapping[str, str]) -> None:
    if action["command"] == "submit":
        number = agent.trials.index(agent.best) + 1 if agent.trials else 0
        display.action(f"submit candidate {number}", files, [])
        return
    what = "the base modules" if not agent.trials else "a change of the best"
    edits = [edit for edit in action["edits"] if files[edit["path"]] != edit["content"]]
    display.action(f"candidate {len(agent.trials) + 1}: {what}", files, edits if agent.trials else [])


def _report(display: Display, info: Mapping[str, Any]) -> None:
    for side, title in (("meta_train", "meta-train"), ("meta_test", "meta-test (never seen before)")):
        if side in info:
            display.scores(title, info[side])
    for problem in ("refused", "infra_error"):
        if problem in info:
            display.console.print(f"[red]{problem}: {escape(info[problem])}")


def main(
    domain: Annotated[str, typer.Option(help="Domain to play.")] = "GreenhouseGasPrediction",
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "tiny",
    task: Annotated[str | None, typer.Option(help="A task's YAML file, or the name of a DiscoBench task.")] = None,
    steps: Annotated[int, typer.Option(min=2, help="Actions, the submission included.")] = 10,
    changes: Annotated[float, typer.Option(min=1, help="Mean number of changes per candidate.")] = 1.5,
    sandbox: Annotated[str, typer.Option(help="Provider: auto, bubblewrap, process, …")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the episode and of the changes.")] = 0,
    runs: Annotated[Path, typer.Option(help="Where the run directory is written.")] = Path("runs"),
) -> None:
    """Play one episode of random search."""
    console = Console()
    display = Display(console)
    env = gym.make(
        "DiscoGen-v0",
        domain=domain,
        task=task,
        scale=scale,
        sandbox=sandbox,
        max_steps=steps,
        runs_dir=runs,
        on_progress=display.progress,
        disable_env_checker=True,
    )
    try:
        reward, trials = play(env, seed=seed, changes=changes, display=display)
        run = cast(DiscoGenEnv, env.unwrapped).run_directory
    finally:
        env.close()
    best = max((trial.score for trial in trials), default=float("nan"))
    console.print(
        Panel(f"[bold]reward {reward:.3f}[/]   (best meta-train score {best:.3f})", title="episode over", expand=False)
    )
    console.print(f"recorded in {run}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
