"""Writes ``discobench_ids.json``, the ids of all DiscoBench tasks: ``python -m tests.discogen.discobench_ids``.

It is to be run when a domain is added and when the version of one is raised, and never for another reason.
"""

from __future__ import annotations

import json
from pathlib import Path

from discoenv.tasks.discobench import discobench_task, get_discobench_tasks

PATH = Path(__file__).with_suffix(".json")


def ids() -> dict[str, str]:
    """The id of each task at scale small, by the task's name."""
    return {name: discobench_task(name, scale="small").task_id for name in get_discobench_tasks()}


if __name__ == "__main__":
    PATH.write_text(json.dumps(ids(), indent=1) + "\n")
