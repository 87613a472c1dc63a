"""An episode played through tools: holds the environment, what is edited but not yet run, and the runs so far.

Writing is free: edits are kept here until ``run`` or ``submit`` takes them to the environment in one step. So of an
environment's ``max_steps``, an agent can spend all but the last on runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import mimetypes
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import gymnasium

from discoenv.env import DiscoGenEnv
from discoenv.episodes import feedback
from discoenv.episodes.action import Edit, apply_edits
from discoenv.episodes.episode import compared
from discoenv.episodes.record import RunRecord, StepRecord, best_run
from discoenv.episodes.transcript import CallRecorder, read_calls
from discoenv.errors import ActionError, EpisodeLeft, ToolError
from discoenv.python_text import parse
from discoenv.tasks.workspace import DISCOVERED
from discoenv.text import printable, shown
from discoenv.tools import registry
from discoenv.tools.registry import Arguments, get_tool

#: Most characters that one ``read_file`` shows.
READ_CHARACTERS: Final = 40_000
_UNKNOWN_TYPE: Final = "application/octet-stream"

_ACTING = """
## Your tools

Act through the tools, not by writing actions as JSON. `list_files` and `read_file` show what there is; `write_file` and
`replace_in_file` change the editable files. All of these are free: edits are kept until `run` or `submit`, each of
which counts as one action. Keep the last action for `submit`. Without it the files are submitted as they are when
the actions are used up. `submit` can also take the files of an earlier run, so trying something out loses nothing.
`history` and `compare` say which differences between runs are more than noise.
Notes (`add_note`, `read_notes`) survive when a long conversation is shortened.
"""


#: Files of a workspace that are no part of the code base.
_NOT_CODE: Final = frozenset({"description.md", "task.yaml", "requirements.txt", "install.sh", "run_main.py"})


@dataclass(frozen=True)
class ToolResult:
    """The result of a tool call.

    Attributes:
        text: what the model should read.
        ok: False if the call was refused; then nothing was changed.
        stepped: whether it took a step of the environment.
        picture: the picture that was read, for models that see; ``text`` says what it is.
    """

    text: str
    ok: bool = True
    stepped: bool = False
    picture: Picture | None = None


@dataclass(frozen=True)
class Picture:
    """A picture that the task's text shows.

    Attributes:
        path: as ``list_files`` shows it.
        mime_type: ``image/png`` or another.
        data: the bytes of the file.
    """

    path: str
    mime_type: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class RunResult(RunRecord):
    """One ``run`` of an episode, with what was run.

    Attributes:
        files: the editable files, name to text.
    """

    files: Mapping[str, str]


class ToolSession:
    """One episode of an environment, played through tools.

    Several threads may use it. Steps (``run``, ``submit``) come one after another; everything else is answered at once,
    also while a step goes on. Edits that are made meanwhile stay, for the next step.

    Args:
        env: ``gym.make("DiscoGen-v0", …)``; it is reset.
        seed, options: of the reset. With ``options={"restore": path}`` the session goes on from a saved episode.
        recorder: where tool calls are recorded; ``auto`` means the run directory, if the environment keeps one.

    Attributes:
        env: the environment.
        info: of the last reset or step.
        observation: of the last reset or step.
        introduction: what the agent should read first: the task, and how the tools act.
        task_text: the task alone.
        max_steps: actions of the episode.
        notes: the notes so far.
        over: whether the episode has ended.
        recorder: where tool calls are recorded, or None.
        reward: the episode's reward; 0 until it has ended.
        runs: all runs so far.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
        recorder: CallRecorder | Literal["auto"] | None = "auto",
    ) -> None:
        self.env = env
        base = cast(DiscoGenEnv, env.unwrapped)
        self.observation, self.info = env.reset(seed=seed, options=dict(options) if options else None)
        self._max_file_bytes = base.limits.max_file_bytes
        if recorder == "auto":
            recorder = CallRecorder(base.run_directory) if base.run_directory else None
        self.recorder = recorder
        history = base.history
        self.task_text = history.events[0].text
        self.introduction = f"{self.task_text}{_ACTING}"
        self.max_steps = history.step + int(self.observation["steps_left"])
        self.notes: list[str] = []
        self.over = False
        self.reward = 0.0
        self.runs: list[RunResult] = [RunResult(**vars(run), files=files) for run, files in history.runs]
        self._ended_by = ""
        self._present: dict[str, str] = {}  # the files when the present step was asked for
        self._lock = threading.RLock()  # of what is kept here
        self._stepping = threading.Lock()
        self._start = dict(history.files_after(0))
        self._files: dict[str, str] = dict(self.observation["files"])
        self._workspace = Path(self.info["workspace"])
        domain, datasets = base.task.resolve(), base.task.meta_train
        self._pictures = {
            f"{dataset}/{name}": path for dataset in datasets for name, path in domain.pictures(dataset).items()
        }
        self._tools: dict[type[Arguments], Callable[[Any], ToolResult]] = {
            registry.ListFiles: self._list_files,
            registry.ReadFile: self._read_file,
            registry.WriteFile: self._write_file,
            registry.ReplaceInFile: self._replace_in_file,
            registry.RunFiles: self._run,
            registry.History: self._history,
            registry.CompareRuns: self._compare,
            registry.Submit: self._submit,
            registry.AddNote: self._add_note,
            registry.ReadNotes: self._read_notes,
        }
        if options and options.get("restore") is not None and base.run_directory is not None:
            self._take_up(read_calls(base.run_directory))

    def _take_up(self, calls: Sequence[Mapping[str, Any]]) -> None:
        """Notes, and edits that no step has taken yet, of the session that this one goes on with.

        They come from a record, which others may have written, and go through the same checks as calls.
        """
        pending: list[Arguments] = []
        for call in calls:
            if call.get("event") != "tool_call" or not call.get("ok"):
                continue
            try:
                parsed = get_tool(str(call.get("name"))).parse(call.get("arguments"))
            except ToolError:
                continue
            if isinstance(parsed, (registry.RunFiles, registry.Submit)):
                pending.clear()
            elif isinstance(parsed, (registry.WriteFile, registry.ReplaceInFile)):
                pending.append(parsed)
            elif isinstance(parsed, registry.AddNote):
                self._add_note(parsed)
        for edit in pending:
            with contextlib.suppress(ToolError, ActionError):
                self._tools[type(edit)](edit)

    @property
    def files(self) -> dict[str, str]:
        """The editable files, name to text, with edits that are not yet run."""
        return dict(self._files)

    @property
    def edited(self) -> bool:
        """Whether the files, or those of a run, differ from what they were at the start."""
        return any(files != self._start for files in (self._files, *(run.files for run in self.runs)))

    @property
    def pending(self) -> list[str]:
        """Names of files with edits that the environment does not know yet."""
        return sorted(name for name, text in self._files.items() if text != self.observation["files"][name])

    @property
    def steps_left(self) -> int:
        """Actions left."""
        return int(self.observation["steps_left"])

    @property
    def best(self) -> RunResult | None:
        """The best run so far; see :func:`discoenv.episodes.record.best_run`."""
        return best_run(self.runs)

    def call(
        self,
        name: str,
        arguments: str | Mapping[str, Any] | None = None,
        *,
        call_id: str | None = None,
        source: str = "model",
        files: Mapping[str, str] | None = None,
    ) -> ToolResult:
        """Use a tool; whatever a model sends, the answer is a result and not an exception.

        Args:
            name: the tool.
            arguments: a mapping or its JSON text.
            call_id: the model's id of the call, for the record.
            source: who calls, for the record.
            files: what a step takes, :attr:`files` of an earlier moment; default: the files when the step begins.
        """
        begin = time.monotonic()
        parsed: Arguments | None = None
        try:
            parsed = get_tool(name).parse(arguments)
            result = self._use(parsed, files)
            if result.stepped and self.over and not self._ended_by:
                by = source.removeprefix("mcp:") if source.startswith("mcp:") else ""
                self._ended_by = f"`{name}`{f', call {call_id}' if call_id else ''}{f' of {by}' if by else ''}"
        except (ToolError, ActionError) as error:
            result = ToolResult(f"Error: {error}\nNothing was changed.", ok=False)
        result = replace(result, text=printable(result.text))
        if self.recorder is not None:
            sent = parsed.model_dump(exclude_unset=True) if parsed is not None else arguments
            self.recorder.tool_call(
                {
                    "name": str(name),
                    "arguments": sent,
                    "text": result.text,
                    "ok": result.ok,
                    "stepped": result.stepped,
                    "step": self.max_steps - self.steps_left,
                    "steps_left": self.steps_left,
                    "duration_s": round(time.monotonic() - begin, 4),
                    "call_id": call_id,
                    "source": source,
                }
            )
        return result

    def _use(self, arguments: Arguments, files: Mapping[str, str] | None) -> ToolResult:
        tool = self._tools[type(arguments)]
        if not isinstance(arguments, (registry.RunFiles, registry.Submit)):
            with self._lock:
                if not isinstance(arguments, registry.ReadNotes):
                    self._require_going_on()
                return tool(arguments)
        with self._stepping:
            self._require_going_on()
            self._present = dict(self._files if files is None else files)
            return tool(arguments)

    def _require_going_on(self) -> None:
        if self.over:
            reward = f"reward {self.reward:.3f}" if self.scored else "without a reward"
            by = f"; {self._ended_by} ended it" if self._ended_by else ""
            raise ToolError(f"the episode is over ({reward}){by}; nothing more can be done")

    @property
    def scored(self) -> bool:
        """Whether the episode has ended with a reward."""
        return "meta_test" in self.info

    def stop_run(self) -> bool:
        """Stop the ``run`` that another thread waits for, within a second; it counts as a step. Whether there was one.

        Its call returns what had finished.
        """
        return cast(DiscoGenEnv, self.env.unwrapped).stop_run()

    def write(self, files: Mapping[str, str]) -> ToolResult:
        """Replace whole files, all or none, as an agent's own doing."""
        edits = [Edit(name, content=text) for name, text in files.items()]
        try:
            with self._lock:
                self._files = apply_edits(self._files, edits, self._max_file_bytes)
        except ActionError as error:
            return ToolResult(f"Error: {error}\nNothing was changed.", ok=False)
        return ToolResult(f"Written: {', '.join(sorted(files))}.")

    def run(self, datasets: Sequence[str] = (), *, seeds: int = 0, race: bool = False) -> ToolResult:
        """The tool ``run``, as an agent's own doing."""
        arguments: dict[str, Any] = {"datasets": list(datasets)}
        arguments |= {"seeds": seeds} if seeds else {}
        arguments |= {"race": True} if race else {}
        return self.call("run", arguments, source="agent")

    def submit(self, run: int = 0) -> ToolResult:
        """The tool ``submit``, as an agent's own doing."""
        return self.call("submit", {"run": run}, source="agent")

    def submit_best(self) -> ToolResult:
        """Submit the files of the best run; without any run, the files as they are."""
        return self.submit(self.best.number if self.best else 0)

    def context(self, max_characters: int = 60_000) -> str:
        """The editable and the fixed files as Markdown, for agents that cannot read files by themselves.

        Files that several datasets share are shown once. Past ``max_characters``, files are only named.
        """
        shown_at: dict[str, str] = {}
        parts = [f"### `{name}` (editable)\n\n{_block(text)}" for name, text in self._files.items()]
        left = max_characters - sum(map(len, parts))
        named = []
        for path in self._paths():
            text = self._text(path)
            if path in _NOT_CODE or text in shown_at:
                continue
            shown_at[text] = path
            part = f"### `{path}` (fixed)\n\n{_block(text)}"
            left -= len(part)
            if left < 0:
                named.append(path)
            else:
                parts.append(part)
        if named:
            parts.append(f"Not shown for lack of room: {', '.join(named)}")
        return "\n\n".join(parts)

    def pictures(self) -> dict[str, str]:
        """The pictures that the task's text shows: MIME types by path."""
        return {path: mimetypes.guess_type(path)[0] or _UNKNOWN_TYPE for path in self._pictures}

    def picture(self, path: str) -> Picture:
        """One of :meth:`pictures`.

        Raises:
            ToolError: it is none of them.
        """
        if path not in self._pictures:
            raise ToolError(f"there is no picture {shown(path)}; list_files shows what there is")
        return Picture(path, self.pictures()[path], self._pictures[path].read_bytes())

    def close(self) -> None:
        """Close the environment. An episode that has not ended is recorded as left."""
        self.env.close()

    # ---- the tools

    def _list_files(self, arguments: registry.ListFiles) -> ToolResult:
        pending = self.pending
        lines = ["Editable (in `discovered/`, shared by all datasets):"]
        for name, text in self._files.items():
            changed = ", changed since the last run" if name in pending else ""
            lines.append(f"  {name} ({len(text.encode())} bytes{changed})")
        for datasets, paths in self._fixed().items():
            if not datasets:
                lines.append("Fixed:")
            elif len(datasets) == 1:
                lines.append(f"Fixed, of {datasets[0]}/ alone:")
            else:
                lines.append(f"Fixed, the same in {', '.join(f'{name}/' for name in datasets)}:")
            lines += [f"  {path} ({(self._workspace / path).stat().st_size} bytes)" for path in paths]
        if self._pictures:
            lines += [
                "Pictures, which read_file shows to those who can see:",
                *(f"  {path}" for path in self._pictures),
            ]
        return ToolResult("\n".join(lines))

    def _read_file(self, arguments: registry.ReadFile) -> ToolResult:
        name = arguments.path.removeprefix("./")
        if name in self._pictures:
            picture = self.picture(name)
            what = f"a picture ({picture.mime_type}, {len(picture.data)} bytes), for those who can see it"
            return ToolResult(f"{name} is {what}.", picture=picture)
        text = self._text(arguments.path)
        lines = text.splitlines(keepends=True)
        first, last = arguments.start_line, arguments.end_line or len(lines)
        if lines and first > len(lines):
            raise ToolError(f"{arguments.path} has {len(lines)} lines; start_line is {first}")
        chosen = "".join(lines[first - 1 : last])
        if len(chosen) <= READ_CHARACTERS:
            return ToolResult(chosen or "(empty)")
        kept = chosen[:READ_CHARACTERS]
        kept = kept[: kept.rfind("\n") + 1] or kept  # whole lines, unless the first one alone is too long
        next_line = first + kept.count("\n")
        where = "before" if kept.endswith("\n") else "in"
        return ToolResult(
            f"{kept}\n[cut {where} line {next_line} of {len(lines)}; read on with start_line={next_line}]"
        )

    def _write_file(self, arguments: registry.WriteFile) -> ToolResult:
        return self._edit(Edit(arguments.path, content=arguments.content))

    def _replace_in_file(self, arguments: registry.ReplaceInFile) -> ToolResult:
        return self._edit(Edit(arguments.path, old=arguments.old, new=arguments.new))

    def _edit(self, edit: Edit) -> ToolResult:
        name = self._module(edit.path) or edit.path
        edit = Edit(name, edit.content, edit.old, edit.new)
        self._files = apply_edits(self._files, [edit], self._max_file_bytes)
        text = self._files[name]
        warning = _syntax_warning(name, text)
        return ToolResult(
            f"{name} now has {len(text.splitlines())} lines ({len(text.encode())} bytes). "
            f"It takes effect with the next run or submit.{warning}"
        )

    def _run(self, arguments: registry.RunFiles) -> ToolResult:
        known = self.info["task"]["meta_train"]
        for name in arguments.datasets:
            if name not in known:
                raise ToolError(f"{shown(name)} is not a meta-train dataset; they are {', '.join(known)}")
        files = dict(self._present)
        chosen: dict[str, Any] = {"datasets": list(arguments.datasets)} if arguments.datasets else {}
        chosen |= {"seeds": arguments.seeds} if arguments.seeds else {}
        chosen |= {"race": True} if arguments.race else {}
        text = self._step("run", files, chosen)
        run = StepRecord.from_json(self.info).run(len(self.runs) + 1, self.max_steps - self.steps_left)
        if run is not None:
            with self._lock:
                self.runs.append(RunResult(**vars(run), files=files))
            if not self.over:
                text += self._standing()
        return ToolResult(text, ok="refused" not in self.info, stepped=True)

    def _standing(self) -> str:
        best = self.best
        assert best is not None
        last = "\nOne action is left: submit now; a run would submit these files.\n" if self.steps_left == 1 else ""
        part = "" if best.full else ", not of all datasets"
        return f"This was run {len(self.runs)}; the best so far is run {best.number} ({best.score:.3f}{part}).\n{last}"

    def _submit(self, arguments: registry.Submit) -> ToolResult:
        files = dict(self._present)
        if arguments.run:
            if arguments.run > len(self.runs):
                raise ToolError(f"there is no run {arguments.run}; there were {len(self.runs)} runs so far")
            files = dict(self.runs[arguments.run - 1].files)
        text = self._step("submit", files)
        return ToolResult(text, ok="refused" not in self.info, stepped=True)

    def _history(self, arguments: registry.History) -> ToolResult:
        return ToolResult(feedback.history(self.runs))

    def _compare(self, arguments: registry.CompareRuns) -> ToolResult:
        if len(self.runs) < 2:
            raise ToolError(f"two runs are needed to compare; there were {len(self.runs)} so far")
        for number in (arguments.first, arguments.second):
            if number > len(self.runs):
                raise ToolError(f"there is no run {number}; there were {len(self.runs)} runs so far")
        one = self.runs[(arguments.first or len(self.runs)) - 1]
        others = [run for run in self.runs if run.number != one.number]
        other = self.runs[arguments.second - 1] if arguments.second else best_run(others)
        assert other is not None
        return ToolResult(feedback.compared(one.number, other.number, compared(one, other)))

    def _step(self, command: str, files: Mapping[str, str], chosen: Mapping[str, Any] | None = None) -> str:
        edits = [
            {"path": name, "content": text} for name, text in files.items() if text != self.observation["files"][name]
        ]
        action: dict[str, Any] = {"edits": edits, "command": command, **(chosen or {})}
        try:
            observation, reward, terminated, truncated, info = self.env.step(action)
        except EpisodeLeft:
            self.over = True
            raise ToolError(f"the episode was left before the {command} had finished; it has no reward") from None
        with self._lock:
            self.observation, self.info = observation, info
            kept = {name: text for name, text in self._files.items() if text != self._present[name]}
            self._files = {**observation["files"], **kept}  # what was edited meanwhile stays
            text = str(observation["text"])
            if terminated or truncated:
                self.over = True
                self.reward = float(reward)
                ending = f". Reward: {self.reward:.3f}" if self.scored else ", without a reward."
                text += f"\nThe episode is over{ending}\n"
        return text

    def _add_note(self, arguments: registry.AddNote) -> ToolResult:
        self.notes.append(arguments.text)
        return ToolResult(f"Note {len(self.notes)} added.")

    def _read_notes(self, arguments: registry.ReadNotes) -> ToolResult:
        return ToolResult("\n".join(f"{index}. {note}" for index, note in enumerate(self.notes, 1)) or "No notes yet.")

    # ---- files

    def _paths(self) -> list[str]:
        """The fixed files that can be read, relative to the workspace."""
        found = [path for path in self._workspace.rglob("*") if path.is_file() and not path.is_symlink()]
        names = (path.relative_to(self._workspace) for path in found)
        return sorted(str(name) for name in names if name.parts[0] != DISCOVERED)

    def _fixed(self) -> dict[tuple[str, ...], list[str]]:
        """The fixed files by the datasets that share them, each once; first those of no dataset."""
        sharing: dict[tuple[str, bytes], list[tuple[str, str]]] = {}
        for path in self._paths():
            dataset = next((name for name in self.info["task"]["meta_train"] if path.startswith(f"{name}/")), "")
            digest = hashlib.sha256((self._workspace / path).read_bytes()).digest()
            sharing.setdefault((path.removeprefix(f"{dataset}/"), digest), []).append((dataset, path))
        groups: dict[tuple[str, ...], list[str]] = {(): []}
        for shared in sharing.values():
            groups.setdefault(tuple(name for name, _ in shared if name), []).append(shared[0][1])
        return dict(sorted(groups.items(), key=lambda group: (bool(group[0]), -len(group[0]))))

    def _module(self, path: str) -> str | None:
        """The editable file that a path means: its name, in ``discovered/``, or a dataset's link to it."""
        name = path.removeprefix("./").removeprefix(f"{DISCOVERED}/")
        if name in self._files:
            return name
        folder, _, last = name.rpartition("/")
        return last if last in self._files and folder in self.info["task"]["meta_train"] else None

    def _text(self, path: str) -> str:
        name = self._module(path)
        if name is not None:
            return self._files[name]
        try:
            target = (self._workspace / path).resolve()
            if target.is_relative_to(self._workspace.resolve()) and target.is_file():
                return target.read_bytes().decode(errors="replace")
        except (OSError, ValueError):  # a name that no file can have
            pass
        raise ToolError(f"there is no file {shown(path)}; list_files shows what there is")


def _block(text: str) -> str:
    """A fenced code block that what is in it cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text.rstrip()}\n{fence}"


def _syntax_warning(name: str, text: str) -> str:
    if not name.endswith(".py"):
        return ""
    try:
        parse(text, filename=name)
    except SyntaxError as error:
        where = "" if error.lineno is None else f"line {error.lineno}: "
        return f"\nWarning: it is not valid Python: {where}{error.msg}."
    return ""
