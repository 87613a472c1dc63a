"""An agent without a language model: tries hand-written candidate modules in turn and submits the best.

It is the demo (``make demo``) and the first test of the whole loop. Candidates are folders in ``agents/candidates/``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import gymnasium as gym
import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.spinner import Spinner
from rich.syntax import Syntax
from rich.table import Table

import discoenv  # noqa: F401 - registers the environment
from discoenv.env import DiscoGenEnv
from discoenv.exams.spec import Progress
from discoenv.tasks.registry import get_domain

CANDIDATES = Path(__file__).resolve().parents[2] / "agents/candidates"
_DIFF_LINES = 24


class ScriptedAgent:
    """Proposes one candidate per step, then submits the one with the best meta-train score.

    Args:
        domain: name of the domain; its candidates are tried in the order of their folders' names. A module that a
            candidate lacks is the baseline's.
        candidates: folder of folders named after domains.

    Raises:
        LookupError: there are no candidates for the domain.
    """

    def __init__(self, domain: str, candidates: Path = CANDIDATES) -> None:
        folders = sorted(path for path in (candidates / domain).glob("*") if path.is_dir())
        if not folders:
            raise LookupError(f"no candidates for {domain}: put folders of modules into {candidates / domain}/")
        found = get_domain(domain)
        base = {f"{name}.py": found.module_text(name, backend="default", start="base") for name in found.modules}
        self._candidates = [
            base | {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}
            for folder in folders
        ]
        self.names = [folder.name for folder in folders]
        self.tried: list[float] = []

    def act(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        """The next action. Call it with the latest observation; the first call starts an episode's list."""
        step = len(self.tried)
        if step:
            self.tried[-1] = float(observation["score"])
        if step < len(self._candidates) and observation["steps_left"] > 1:
            self.tried.append(float("-inf"))
            return {"edits": self._edits(step, observation["files"]), "command": "run"}
        best = self.best
        return {"edits": self._edits(best, observation["files"]), "command": "submit"}

    @property
    def best(self) -> int:
        """Index of the candidate with the best meta-train score so far."""
        return max(range(len(self.tried)), key=self.tried.__getitem__)

    def _edits(self, index: int, files: Mapping[str, str]) -> list[dict[str, str]]:
        candidate = self._candidates[index]
        return [{"path": name, "content": candidate[name]} for name in sorted(files) if name in candidate]


class Display:
    """Prints an episode as it goes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None

    def task(self, info: Mapping[str, Any]) -> None:
        """What is to be discovered."""
        task = info["task"]
        table = Table.grid(padding=(0, 2))
        for label, key in (
            ("domain", "domain"),
            ("edit", "modules"),
            ("meta-train", "meta_train"),
            ("meta-test (hidden)", "meta_test"),
            ("objective", "objective"),
            ("starts from", "start"),
            ("scale", "scale"),
        ):
            value = task[key]
            table.add_row(f"[bold]{label}", ", ".join(value) if isinstance(value, list) else str(value))
        integrity = info["integrity"]
        table.add_row("[bold]sandbox", f"{integrity['sandbox']} (scores {integrity['level']})")
        self.console.print(Panel(table, title=f"task {info['task_id']}", expand=False))

    def action(self, title: str, files: Mapping[str, str], edits: list[dict[str, str]]) -> None:
        """An action, as a diff."""
        self.console.rule(f"[bold]{title}", align="left")
        for edit in edits:
            name = edit["path"]
            diff = difflib.unified_diff(
                files[name].splitlines(), edit["content"].splitlines(), f"{name} (before)", f"{name} (after)", "", "", 2
            )
            lines = list(diff)
            if not lines:
                self.console.print(f"{name}: unchanged")
                continue
            shown = "\n".join(line.rstrip("\n") for line in lines[:_DIFF_LINES])
            self.console.print(Syntax(shown, "diff", background_color="default", word_wrap=True))
            if len(lines) > _DIFF_LINES:
                self.console.print(f"[dim]… {len(lines) - _DIFF_LINES} more lines")

    def progress(self, progress: Progress) -> None:
        """An exam begins or ends."""
        label = f"exam {progress.number} of {progress.total}, {progress.spec.dataset}"
        if progress.result is None:
            text = f"training on {label} (budget {progress.spec.budget_s:.0f} s) …"
            self._live = Live(Spinner("dots", text), console=self.console, transient=True)
            self._live.start()
            return
        if self._live is not None:
            self._live.stop()
            self._live = None
        result = progress.result
        seconds = "" if result.seconds is None else f" in {result.seconds:.1f} s"
        self.console.print(f"  [dim]{escape(label)}: {result.status}{seconds}", highlight=False)

    def scores(self, title: str, datasets: Mapping[str, Mapping[str, Any]]) -> None:
        """A table of scores."""
        metric = next(iter(datasets.values()))["metric"]
        table = Table("dataset", metric, "floor", "baseline", "normalised", title=title, title_justify="left")
        for name, record in datasets.items():
            normalised = record["normalised"]
            error = record["standard_error"]
            shown = f"{normalised:.2f}" + (f" ± {error:.2f}" if error is not None else "")
            colour = "green" if normalised > 1 else "yellow" if normalised > 0 else "red"
            table.add_row(
                name,
                f"{record['value']:.3f}",
                f"{record['floor']:.3f}",
                f"{record['baseline']:.3f}",
                f"[{colour}]{shown}",
            )
            if record["traceback"]:
                self.console.print(Panel(escape(record["traceback"]), title=name, border_style="red"))
        self.console.print(table)


def play(env: gym.Env[Any, Any], agent: ScriptedAgent, display: Display, *, seed: int | None) -> Iterator[float]:
    """Play one episode, printing it; yields the reward of each step."""
    observation, info = env.reset(seed=seed)
    display.task(info)
    ended = False
    while not ended:
        action = agent.act(observation)
        submit = action["command"] == "submit"
        index = agent.best if submit else len(agent.tried) - 1
        title = f"submit {agent.names[index]}" if submit else f"step {index + 1}: try {agent.names[index]}"
        display.action(title, observation["files"], [] if submit else action["edits"])
        observation, reward, terminated, truncated, info = env.step(action)
        for side in ("meta_train", "meta_test"):
            if side in info:
                title = "meta-train" if side == "meta_train" else "meta-test (never seen before)"
                display.scores(title, info[side])
        for problem in ("refused", "infra_error"):
            if problem in info:
                display.console.print(f"[red]{problem}: {escape(info[problem])}")
        yield float(reward)
        ended = terminated or truncated


def main(
    domain: Annotated[str, typer.Option(help="Domain to play.")] = "GreenhouseGasPrediction",
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "small",
    task: Annotated[Path | None, typer.Option(help="A task's YAML file; default: all modules, sampled data.")] = None,
    sandbox: Annotated[str, typer.Option(help="Provider: auto, bubblewrap, process, …")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the episode.")] = 0,
    runs: Annotated[Path, typer.Option(help="Where the run directory is written.")] = Path("runs"),
) -> None:
    """Play one episode with hand-written candidates."""
    console = Console()
    display = Display(console)
    agent = ScriptedAgent(domain)
    env = gym.make(
        "DiscoGen-v0",
        domain=domain,
        task=task,
        scale=scale,
        sandbox=sandbox,
        sampling={"p_edit": 1.0},
        max_steps=len(agent.names) + 1,
        runs_dir=runs,
        on_progress=display.progress,
        disable_env_checker=True,
    )
    try:
        reward = list(play(env, agent, display, seed=seed))[-1]
        run = cast(DiscoGenEnv, env.unwrapped).run_directory
    finally:
        env.close()
    colour = "green" if reward > 1 else "yellow"
    console.print(
        Panel(
            f"[bold {colour}]reward {reward:.3f}[/]   (0 = trivial, 1 = baseline, measured on datasets "
            "that were never seen while searching)",
            title="episode over",
            expand=False,
        )
    )
    shown = run.relative_to(Path.cwd()) if run and run.is_relative_to(Path.cwd()) else run
    for label, text in (
        ("recorded in", str(shown)),
        ("score it again", f"discoenv replay {shown}"),
        ("another domain", "python agents/scripted.py --domain OnPolicyRL --scale tiny"),
        ("which needs", "pip install -e '.[jax]'"),
    ):
        console.print(f"[bold]{label:>15}[/]  {escape(text)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
