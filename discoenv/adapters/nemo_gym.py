"""NeMo Gym: a resources server in Gymnasium's form, for ``gymnasium_agent``, and the files that configure it.

``write_environment`` makes a folder for ``resources_servers/``. A step takes the tools that the model called; an answer
without a call ends the episode, and so does the limit on turns: the best run is submitted then. If the machine fails,
the request fails, and nothing is a reward of 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pydantic import PrivateAttr

from discoenv.adapters.frameworks import require
from discoenv.adapters.session import Session, SessionHost, TaskEntry
from discoenv.errors import EpisodeLeft
from discoenv.tools import TOOLS

require("nemo_gym")

from nemo_gym.base_resources_server import BaseResourcesServerConfig  # noqa: E402 - after the message
from resources_servers.gymnasium import GymnasiumServer  # noqa: E402

#: Turns of ``gymnasium_agent`` beyond those that the server allows, so that the server is the one to end an episode.
_MARGIN: Final = 10
_PROMPT: Final = "Discover a machine-learning algorithm. Use the tools, and submit at the end."

Step = tuple[str | None, float, bool, bool, dict[str, Any]]


class DiscoenvServerConfig(BaseResourcesServerConfig):
    """What the YAML file may set.

    Attributes:
        max_steps: actions per episode.
        max_turns: answers of the model per episode; at the last one, the best run is submitted.
        sandbox, device: where learners train.
        runs_dir: where episodes are recorded; None keeps no record.
    """

    max_steps: int = 10
    max_turns: int = 90
    sandbox: str = "auto"
    device: str = "auto"
    runs_dir: str | None = "runs"


class DiscoenvServer(GymnasiumServer):
    """Episodes by session of NeMo Gym. A row's ``task`` is the name of a task or its content, ``seed`` its seed."""

    config: DiscoenvServerConfig
    _host: SessionHost | None = PrivateAttr(default=None)
    _sessions: dict[str | None, Session] = PrivateAttr(default_factory=dict)
    _turns: dict[str | None, int] = PrivateAttr(default_factory=dict)

    @property
    def host(self) -> SessionHost:
        """What opens episodes; it is made when it is first needed."""
        if self._host is None:
            settings: dict[str, Any] = {"device": self.config.device, "max_steps": self.config.max_steps}
            self._host = SessionHost(sandbox=self.config.sandbox, runs_dir=self.config.runs_dir, **settings)
        return self._host

    async def reset(self, metadata: dict[str, Any], session_id: str | None = None) -> tuple[str | None, dict[str, Any]]:
        """Begin the episode of a row; the text is what the model should read.

        Raises:
            InfraError: the machine failed.
        """
        await self.close_session(session_id)
        session = await self.host.aopen(metadata["task"], seed=int(metadata.get("seed", 0)))
        session.played_by("nemo_gym", {})
        self._sessions[session_id], self._turns[session_id] = session, 0
        return session.introduction, {"task_id": session.entry.id}

    async def step(self, action: Any, metadata: dict[str, Any], session_id: str | None = None) -> Step:
        """Use the tools that an answer calls.

        Raises:
            EpisodeLeft: the session has no episode.
            InfraError: the machine failed: no reward.
        """
        if session_id not in self._sessions:
            raise EpisodeLeft("the session has no episode: reset first")
        session = self._sessions[session_id]
        self._turns[session_id] += 1
        calls = [item for item in action.output if item.type == "function_call"]
        outputs = []
        for call in calls:
            result = await session.acall(call.name, call.arguments, call_id=call.call_id)
            outputs.append({"call_id": call.call_id, "output": result.text})
        last = self._turns[session_id] >= self.config.max_turns
        if calls and not session.over and not last:
            return None, 0.0, False, False, {"tool_outputs": outputs}
        outcome = await session.areward()
        info = {"tool_outputs": outputs, "outcome": outcome.facts()}
        return None, outcome.reward, not last, last, info

    async def close_session(self, session_id: str | None) -> None:
        """End an episode, over or not."""
        self._turns.pop(session_id, None)
        session = self._sessions.pop(session_id, None)
        if session is not None:
            await session.aclose()

    def close(self) -> None:
        """End all episodes and what they train on."""
        if self._host is not None:
            self._host.close()


def row(entry: TaskEntry) -> dict[str, Any]:
    """A row of a data set of NeMo Gym."""
    tools = [{"type": "function", "strict": False, **tool.openai()["function"]} for tool in TOOLS]
    return {
        "responses_create_params": {"input": [{"role": "user", "content": _PROMPT}], "tools": tools},
        "task": entry.task.model_dump(mode="json"),
        "seed": entry.seed,
    }


def write_environment(folder: Path, entries: Iterable[TaskEntry], *, max_turns: int = 90, max_steps: int = 10) -> Path:
    """Write a resources server with a data set.

    Args:
        folder: such as ``resources_servers/discoenv``.
        entries: the tasks of the data set, one row each.
        max_turns, max_steps: see :class:`DiscoenvServerConfig`.

    Returns:
        The configuration, for ``ng_run``.
    """
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    lines = "".join(f"{json.dumps(row(entry))}\n" for entry in entries)
    (folder / "data" / "example.jsonl").write_text(lines, encoding="utf-8")
    (folder / "app.py").write_text(_APP, encoding="utf-8")
    (folder / "requirements.txt").write_text("discoenv\n", encoding="utf-8")
    path = folder / "configs" / "discoenv.yaml"
    path.write_text(
        _CONFIG.format(
            data=folder / "data" / "example.jsonl", turns=max_turns, most=max_turns + _MARGIN, steps=max_steps
        ),
        encoding="utf-8",
    )
    return path


_APP: Final = """\
\"\"\"Serves discoenv to NeMo Gym.\"\"\"

from discoenv.adapters.nemo_gym import DiscoenvServer

if __name__ == "__main__":
    DiscoenvServer.run_webserver()
"""
_CONFIG: Final = """\
discoenv:
  resources_servers:
    discoenv:
      entrypoint: app.py
      domain: coding
      description: Machine-learning algorithm discovery
      verified: false
      max_turns: {turns}
      max_steps: {steps}
discoenv_agent:
  responses_api_agents:
    gymnasium_agent:
      entrypoint: app.py
      resources_server: {{type: resources_servers, name: discoenv}}
      model_server: {{type: responses_api_models, name: policy_model}}
      max_steps: {most}
      datasets:
      - {{name: example, type: example, jsonl_fpath: {data}}}
"""
