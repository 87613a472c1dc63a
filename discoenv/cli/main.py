"""The ``discoenv`` command: the list of its commands, and how errors are shown.

To add a command, write a function in the file of its subject, and list it in :class:`Commands`.
"""

from __future__ import annotations

from typing import Final

import typer

from discoenv.cli.loading import SETTINGS, Deferred, DeferredGroup
from discoenv.errors import DiscoenvError
from discoenv.machine import streams
from discoenv.text import guard_streams

_TASKS: Final = "Tasks"
_SANDBOXES: Final = "Sandboxes"


class Commands(DeferredGroup):
    """All commands. Their help texts are repeated here, so that listing them imports none; a test compares them."""

    deferred = {  # noqa: RUF012 - a ClassVar of the base class
        "doctor": Deferred(
            "doctor:doctor", "Show what works on this machine, what is missing, and the command that installs it."
        ),
        "calibrate": Deferred(
            "exams:calibrate", "Measure floors and baselines, and write them where tasks look for them."
        ),
        "rehearse": Deferred(
            "exams:rehearse",
            "Run short exams with a scale's settings: do they start, in what memory, and how long do whole ones last?",
        ),
        "exam": Deferred(
            "exams:exam",
            'Run the exams of a workspace that was edited by hand; prints {"results": …, "errors": …} as JSON.',
        ),
        "replay": Deferred(
            "runs:replay", "Score a recorded submission again on the meta-test datasets, in the exams of the run."
        ),
        "draw": Deferred(
            "runs:draw",
            "Draw pictures of a recorded run into its folder `pictures`: scores, and what its domain has to show.",
        ),
        "check": Deferred(
            "runs:check", "List what looks like cheating or fabrication in recorded runs. It changes no score."
        ),
        "view": Deferred("runs:view", "Look at recorded runs, finished or still running, in a browser."),
        "export": Deferred(
            "export:export", "Write a run as one HTML file or as a trajectory, or tasks as folders of Harbor."
        ),
        "score": Deferred("score:score", "Score a folder of modules on the meta-test datasets of a task."),
        "serve-exams": Deferred(
            "score:serve_exams", "Hold exams on the meta-train side of a task for an agent in another container."
        ),
        "bench": Deferred("bench:bench", "Compare agents on tasks."),
        "audit": Deferred(
            "audit:audit", "Try every known exploit on a domain. The exit code is 1 if one of them gains anything."
        ),
        "study": Deferred(
            "study:study", "Measure how noisy the rewards of a domain are, and what known methods reach."
        ),
        "mcp": Deferred(
            "mcp:serve",
            "Serve one episode over MCP, for Claude Code, Codex, Cursor, Goose and others (see docs/agents.md).",
        ),
        "new-domain": Deferred(
            "domains:new_domain",
            "Make a domain to start from: one that works, under a new name; or the draft of one, from a script.",
        ),
        "validate": Deferred(
            "domains:validate",
            "Check that a domain is what every domain must be. The exit code is 1 if it is not.",
        ),
        "data": Deferred("data:data", "Datasets that have to be downloaded."),
        "gc": Deferred(
            "runs:gc",
            "Remove what killed processes left behind: containers, control groups, processes, temporary folders.",
        ),
        "get-domains": Deferred("tasks:list_domains", "List the domains.", _TASKS),
        "get-modules": Deferred("tasks:get_modules", "List the modules of each domain.", _TASKS),
        "create-config": Deferred(
            "tasks:create_config", "Write a domain's default configuration, to be edited.", _TASKS
        ),
        "create-task": Deferred(
            "tasks:create_task",
            "Write a task's files. Without --example or --config-path nothing is editable.",
            _TASKS,
        ),
        "sample-task-config": Deferred(
            "tasks:sample_task_config", "Draw a random task and write its configuration.", _TASKS
        ),
        "get-discobench": Deferred(
            "tasks:get_discobench", "List the DiscoBench tasks, which agents are compared by.", _TASKS
        ),
        "create-discobench": Deferred("tasks:create_discobench", "Write the files of a DiscoBench task.", _TASKS),
        "show": Deferred("tasks:show", "Show what a task contains.", _TASKS),
        "count-tasks": Deferred(
            "tasks:count_tasks", "Count the tasks that can be drawn, per domain and in all.", _TASKS
        ),
        "image": Deferred("sandbox:image", "Images of learners, for the docker and podman sandboxes.", _SANDBOXES),
        "ps": Deferred(
            "sandbox:ps",
            "List what runs in sandboxes and beside them on this machine, and who holds its GPUs.",
            _SANDBOXES,
        ),
    }


app = typer.Typer(
    cls=Commands,
    context_settings=SETTINGS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def discoenv() -> None:
    """Machine-learning algorithm discovery as a Gymnasium environment."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; an error that its user can fix is one message, without a traceback."""
    streams.fill_for_python()
    guard_streams()
    try:
        app(arguments)
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        raise
    except (DiscoenvError, OSError) as error:
        from rich.console import Console  # takes as long to import as a command may to run
        from rich.markup import escape

        console = Console(stderr=True, emoji=False)
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
