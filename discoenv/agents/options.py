"""Command-line options that the scripts of agents share, and the objects that are made of them.

The ``main`` of a script takes groups of options, which are dataclasses such as :class:`ModelOptions` and
:class:`EnvOptions`; :func:`command` turns their fields into options.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

import gymnasium as gym
import typer
from rich.console import Console
from rich.markup import escape

import discoenv  # noqa: F401 - registers the environment
from discoenv.agents.llm.budget import Budget, Ledger, Prices
from discoenv.agents.llm.chat import ChatModel, ToolCalls
from discoenv.errors import DiscoenvError
from discoenv.exams.spec import Progress
from discoenv.tasks.names import domain_name, sandbox_name, scale_name, task_name
from discoenv.tasks.specification import Scale
from discoenv.text import guard_streams

SandboxName = Annotated[str, typer.Option(help="Provider: auto, bubblewrap, process, …", callback=sandbox_name)]
TaskName = Annotated[str, typer.Option(help="DiscoBench task or YAML file; default: sampled.", callback=task_name)]
DomainName = Annotated[str, typer.Option(help="Domain of a sampled task; default: any.", callback=domain_name)]
ScaleText = Annotated[str, typer.Option(help="tiny, small or full; default: the task's.", callback=scale_name)]
RunsFolder = Annotated[Path, typer.Option(help="Where the run directory is written.")]
Resume = Annotated[Path | None, typer.Option("-r", "--resume", help="Go on with the run in this folder.")]
ExamsAtOnce = Annotated[int | None, typer.Option(min=1, help="Exams to run concurrently; default: one per core.")]


@dataclass(frozen=True)
class ModelOptions:
    """The model, its endpoint, and what may be spent."""

    model: Annotated[str, typer.Option(envvar="DISCOENV_MODEL", help="Model, as the endpoint calls it.")]
    base_url: Annotated[
        str, typer.Option(envvar="OPENAI_BASE_URL", help="OpenAI-compatible endpoint; default: OpenAI's.")
    ] = ""
    api_key_env: Annotated[str, typer.Option(help="Environment variable that holds the API key.")] = "OPENAI_API_KEY"
    temperature: Annotated[float | None, typer.Option(min=0, help="Default: the server's.")] = None
    tool_calls: Annotated[str, typer.Option(help="native, text (for models without tools) or auto.")] = "auto"
    stream: Annotated[bool, typer.Option(help="Stream answers.")] = True
    max_completion_tokens: Annotated[
        int, typer.Option(min=1, help="Most tokens of one answer, reasoning included.")
    ] = 8192
    context_tokens: Annotated[
        int, typer.Option(min=1024, help="Tokens of prompt and answer that the model can take.")
    ] = 128_000
    retries: Annotated[int, typer.Option(min=0, help="Attempts after a failed one.")] = 6
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that one attempt may take.")] = 600.0
    max_tokens: Annotated[int, typer.Option(min=1, help="Budget: prompt and completion tokens in all.")] = 2_000_000
    max_cost: Annotated[float | None, typer.Option(min=0, help="Budget: money, in the unit of the prices.")] = None
    max_seconds: Annotated[float | None, typer.Option(min=0, help="Budget: seconds until the last answer.")] = None
    max_calls: Annotated[int, typer.Option(min=1, help="Budget: answers of the model.")] = 100
    prompt_price: Annotated[float, typer.Option(min=0, help="Price per million prompt tokens.")] = 0.0
    completion_price: Annotated[float, typer.Option(min=0, help="Price per million completion tokens.")] = 0.0
    cached_price: Annotated[float | None, typer.Option(min=0, help="Price per million cached prompt tokens.")] = None

    def make(self) -> ChatModel:
        """The model.

        Raises:
            typer.BadParameter: there is a limit on cost, but no price; or there is no such way to call tools.
            ChatError: there is no API key, and the endpoint is OpenAI's.
            PackageMissing: the package openai is not installed.
        """
        if self.tool_calls not in ("native", "text", "auto"):
            raise typer.BadParameter(f"--tool-calls is {self.tool_calls!r}; it must be native, text or auto")
        budget = Budget(self.max_tokens, self.max_cost, self.max_seconds, self.max_calls)
        try:
            ledger = Ledger(budget, Prices(self.prompt_price, self.completion_price, self.cached_price))
        except ValueError as error:
            raise typer.BadParameter(f"{error} (--prompt-price, --completion-price)") from error
        return ChatModel(
            self.model,
            base_url=self.base_url or None,
            api_key=os.environ.get(self.api_key_env),
            ledger=ledger,
            temperature=self.temperature,
            max_completion_tokens=self.max_completion_tokens,
            context_tokens=self.context_tokens,
            stream=self.stream,
            tool_calls=cast(ToolCalls, self.tool_calls),
            retries=self.retries,
            timeout_s=self.timeout_s,
        )


@dataclass(frozen=True)
class EnvOptions:
    """The environment."""

    task: TaskName = ""
    domain: DomainName = ""
    scale: ScaleText = ""
    sandbox: SandboxName = "auto"
    seed: Annotated[int | None, typer.Option(help="Seed of the episode.")] = None
    max_steps: Annotated[int, typer.Option(min=1, help="Runs and the submission together.")] = 10
    objective: Annotated[str, typer.Option(help="What the reward is about; default: the task's.")] = ""
    reference: Annotated[
        str, typer.Option(help="Scores are compared with shipped baselines, or with paired ones of the same exams.")
    ] = "shipped"
    transform: Annotated[str, typer.Option(help="What exams are worth: ordered or linear.")] = "ordered"
    runs: RunsFolder = Path("runs")

    def make(self, on_progress: Callable[[Progress], None] | None = None, **changes: Any) -> gym.Env[Any, Any]:
        """The environment; ``changes`` replace or add arguments of :class:`discoenv.env.DiscoGenEnv`."""
        arguments: dict[str, Any] = {
            "task": self.task or None,
            "domain": self.domain or None,
            "scale": cast(Scale, self.scale) or None,
            "sandbox": self.sandbox,
            "max_steps": self.max_steps,
            "objective": self.objective or None,
            "reference": self.reference,
            "transform": self.transform,
            "runs_dir": self.runs,
            "on_progress": on_progress,
        }
        return gym.make("DiscoGen-v0", disable_env_checker=True, **(arguments | changes))


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A function for :func:`typer.run`: arguments that are dataclasses of options become their fields.

    Errors of :class:`discoenv.errors.DiscoenvError`, and files that cannot be used, are printed as one message, without
    a traceback.
    """
    guard_streams()
    hints = get_type_hints(function, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))
            continue
        types = get_type_hints(groups[name], include_extras=True)
        for each in fields(groups[name]):
            default = inspect.Parameter.empty if each.default is MISSING else each.default
            parameters.append(
                inspect.Parameter(
                    each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[each.name]
                )
            )

    @functools.wraps(function)
    def run(**values: Any) -> None:
        filled = {}
        for name, group in groups.items():
            given = {each.name: values.pop(each.name) for each in fields(group) if each.name in values}
            filled[name] = cast(Any, group)(**given)
        try:
            function(**filled, **values)
        except (DiscoenvError, OSError) as error:
            console = Console(stderr=True, emoji=False)
            console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
