"""Actions: what agents may send, parsed into an :class:`Action` and applied.

An action is a dict; every key may be missing::

    {"edits": [{"path": "loss.py", "content": "..."},               # replace or fill a whole file
               {"path": "optim.py", "old": "1e-3", "new": "3e-4"}], # replace one occurrence
     "command": "edit" | "run" | "submit" | "history" | "compare",  # "run" if missing
     "datasets": ["BoxModel/CO2"],                                  # only "run": some meta-train datasets; all if empty
     "seeds": 4,                                                    # only "run": exams per dataset; else as in the task
     "race": true,                                                  # only "run": no more seeds than are needed to
                                                                    # decide whether it is better than the best run
     "runs": [3, 1]}                                                # only "compare": which; else the last and the best

The JSON text of such a dict, or the name of a command alone, will do as well. A command may also be its number, from 0,
as policies with discrete outputs have it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from discoenv import module_code
from discoenv.errors import ActionError
from discoenv.json_text import DuplicateKey, loads
from discoenv.text import shown

ActionCommand = Literal["edit", "run", "submit", "history", "compare"]

COMMANDS: Final[tuple[ActionCommand, ...]] = get_args(ActionCommand)
_KEYS: Final = ("edits", "command", "datasets", "seeds", "race", "runs")


@dataclass(frozen=True)
class Edit:
    """One change of one file: either its whole ``content``, or one occurrence of ``old`` replaced by ``new``."""

    path: str
    content: str | None = None
    old: str | None = None
    new: str | None = None


@dataclass(frozen=True)
class Action:
    """A parsed action.

    Attributes:
        edits: changes of files, in order.
        command: what to do then.
        datasets: of a ``run``: meta-train datasets; empty: all.
        seeds: of a ``run``: exams per dataset, at most that many in a race; None: as many as the task says.
        race: of a ``run``: end it when it is decided whether it is better than the best run.
        runs: of a ``compare``: the numbers of two runs; empty: the last one, and the best before it.
    """

    edits: tuple[Edit, ...] = ()
    command: ActionCommand = "run"
    datasets: tuple[str, ...] = ()
    seeds: int | None = None
    race: bool = False
    runs: tuple[int, ...] = ()

    def record(self) -> dict[str, Any]:
        """The action as plain Python values."""
        edits = [{key: value for key, value in vars(edit).items() if value is not None} for edit in self.edits]
        chosen: dict[str, Any] = {"datasets": list(self.datasets)} if self.datasets else {}
        chosen |= {"seeds": self.seeds} if self.seeds is not None else {}
        chosen |= {"race": True} if self.race else {}
        chosen |= {"runs": list(self.runs)} if self.runs else {}
        return {"edits": edits, "command": self.command, **chosen}


def parse_action(action: Any) -> Action:
    """An :class:`Action` from what agents send: see the module's description.

    Raises:
        ActionError: it is none of these.
    """
    if isinstance(action, Action):
        action = {key: getattr(action, key) for key in _KEYS}
    if isinstance(action, str):
        if action in COMMANDS:
            return Action(command=action)
        try:
            action = loads(action)
        except DuplicateKey as error:
            raise ActionError(f"the action: {error}") from None
        except (ValueError, RecursionError):
            raise ActionError(
                f"the action is neither a command ({', '.join(COMMANDS)}) nor a JSON object: {shown(action)}"
            ) from None
    if not isinstance(action, Mapping):
        raise ActionError(f'the action is {type(action).__name__}; expected {{"edits": [...], "command": ...}}')
    unknown = sorted(str(key) for key in action if key not in _KEYS)
    if unknown:
        raise ActionError(
            f"the action has unknown keys {', '.join(map(shown, unknown))}; known are {', '.join(_KEYS[:-1])} and runs"
        )
    command = action.get("command", "run")
    if isinstance(command, (int, np.integer)) and not isinstance(command, bool) and 0 <= command < len(COMMANDS):
        command = COMMANDS[int(command)]
    if not isinstance(command, str) or command not in COMMANDS:
        raise ActionError(f"command is {shown(command)}; it must be one of {', '.join(COMMANDS)}")
    edits = action.get("edits")
    if edits is None or (isinstance(edits, (str, Mapping)) and not edits):
        edits = ()
    if isinstance(edits, Mapping):
        edits = (edits,)
    if isinstance(edits, (str, bytes)) or not isinstance(edits, Iterable):
        raise ActionError(f"edits is {type(edits).__name__}; expected a list of edits")
    parsed = tuple(_parse_edit(edit, index) for index, edit in enumerate(edits))
    return Action(
        _allowed_edits(parsed, command),
        command,
        _parse_datasets(action.get("datasets"), command),
        _parse_seeds(action.get("seeds"), command),
        _parse_race(action.get("race"), command),
        _parse_runs(action.get("runs"), command),
    )


def _allowed_edits(edits: tuple[Edit, ...], command: ActionCommand) -> tuple[Edit, ...]:
    if edits and command in ("history", "compare"):
        raise ActionError(f"{command} takes no edits: send them with edit, run or submit")
    return edits


def _parse_seeds(seeds: Any, command: ActionCommand) -> int | None:
    if seeds is None:
        return None
    if command != "run":
        raise ActionError(f"seeds are chosen for run only; {command} takes none")
    if isinstance(seeds, bool) or not isinstance(seeds, (int, np.integer)) or seeds < 1:
        raise ActionError(f"seeds is {shown(seeds)}; expected a number of exams per dataset, 1 or more")
    return int(seeds)


def _parse_race(race: Any, command: ActionCommand) -> bool:
    if race is None or race is False:
        return False
    if command != "run":
        raise ActionError(f"only a run can be a race, not {command}")
    if race is not True:
        raise ActionError(f"race is {shown(race)}; expected true or false")
    return True


def _parse_runs(runs: Any, command: ActionCommand) -> tuple[int, ...]:
    if runs is None or (isinstance(runs, Iterable) and not isinstance(runs, (str, bytes)) and not list(runs)):
        return ()
    if command != "compare":
        raise ActionError(f"runs are chosen for compare only; {command} takes none")
    numbers = list(runs) if isinstance(runs, Iterable) and not isinstance(runs, (str, bytes, Mapping)) else []
    whole = [isinstance(number, (int, np.integer)) and not isinstance(number, bool) for number in numbers]
    if len(numbers) != 2 or not all(whole):
        raise ActionError(f"runs is {shown(runs)}; expected the numbers of two runs, such as [2, 1]")
    return tuple(map(int, numbers))


def _parse_datasets(datasets: Any, command: ActionCommand) -> tuple[str, ...]:
    """Names without repetition, in the order given. Whether the task has them is for the environment to say."""
    if datasets is None:
        return ()
    if isinstance(datasets, (str, bytes, Mapping)) or not isinstance(datasets, Iterable):
        raise ActionError(f"datasets is {type(datasets).__name__}; expected a list of names")
    names = list(datasets)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise ActionError(f"datasets[{index}] is {type(name).__name__}; expected the name of a dataset")
    if names and command != "run":
        raise ActionError(f"datasets are chosen for run only; {command} takes none")
    return tuple(dict.fromkeys(str(name) for name in names))


def _parse_edit(edit: Any, index: int) -> Edit:
    where = f"edits[{index}]"
    if isinstance(edit, Edit):
        edit = {key: value for key, value in vars(edit).items() if value is not None}
    if not isinstance(edit, Mapping):
        raise ActionError(f'{where} is {type(edit).__name__}; expected {{"path": ..., "content": ...}}')
    unknown = sorted(str(key) for key in edit if key not in {"path", "content", "old", "new"})
    if unknown:
        raise ActionError(
            f"{where} has unknown keys {', '.join(map(shown, unknown))}; known are path, content, old, new"
        )
    if "path" not in edit:
        raise ActionError(f"{where} has no path")
    for key, value in edit.items():
        if value is not None and not isinstance(value, str):
            raise ActionError(f"{where}.{key} is {type(value).__name__}; files are text, so it must be a string")
    path, content, old, new = (edit.get(key) for key in ("path", "content", "old", "new"))
    if old:
        if content:
            raise ActionError(f"{where} has both content and old; use one: a whole file, or a replacement")
        if new is None:
            raise ActionError(f"{where} has old but no new")
        return Edit(path or "", old=old, new=new)
    if content is None:
        raise ActionError(f"{where} has neither content nor old; give the whole file or what to replace")
    if new:
        raise ActionError(f"{where} has new but no old; say what to replace, or give content only")
    return Edit(path or "", content=content)


def apply_edits(
    files: Mapping[str, str], edits: Iterable[Edit], max_bytes: int, imports: Collection[str] | None = None
) -> dict[str, str]:
    """The files after all edits, in order. Nothing is changed in ``files``.

    Args:
        files: text by file name; only these may be edited.
        edits: what to change; a path may be given as ``loss.py`` or ``discovered/loss.py``.
        max_bytes: largest file, in bytes of UTF-8.
        imports: what files may import beside :data:`module_code.STANDARD`; None: anything.

    Raises:
        ActionError: an edit cannot be made, or a file would import something else; then none is.
    """
    result = dict(files)
    for edit in edits:
        name = edit.path.removeprefix("discovered/")
        if name not in result:
            raise ActionError(f"{shown(edit.path)} cannot be edited; the editable files are {', '.join(sorted(files))}")
        if edit.content is not None:
            text = edit.content
        else:
            old, new = edit.old or "", edit.new or ""
            first = result[name].find(old)
            again = result[name].find(old, first + 1) if first >= 0 else -1  # may overlap the first
            if first < 0 or again >= 0:
                count = max(2, result[name].count(old))
                problem = "does not occur" if first < 0 else f"occurs {count} times; add lines until it is unique"
                raise ActionError(f"{name}: the text to replace {problem}: {shown(old)}")
            text = result[name].replace(old, new)
        if "\0" in text:
            raise ActionError(f"{name}: the new text holds a NUL character; modules are Python source text")
        if not encodable(text):
            raise ActionError(f"{name}: the new text holds a lone surrogate, which UTF-8 cannot encode")
        size = len(text.encode())
        if size > max_bytes:
            raise ActionError(f"{name}: the new text has {size} bytes; the limit is {max_bytes}")
        result[name] = text
    if imports is not None:
        for name, text in result.items():
            if text != files[name]:
                _check_imports(name, text, imports)
    return result


def _check_imports(name: str, text: str, allowed: Collection[str]) -> None:
    for refused in module_code.refused_imports(text, allowed):
        raise ActionError(
            f"{name}, line {refused.line}: {refused.name!r} cannot be imported here. Modules may import "
            f"{', '.join(sorted(allowed))}, and of the standard library what computes: math, functools, typing, …"
        )


def encodable(text: str) -> bool:
    """Whether UTF-8 can encode ``text``: it holds no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
