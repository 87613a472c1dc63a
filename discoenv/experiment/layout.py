"""The folder of an experiment: configurations, sources, and one folder per configuration and seed.

``configs.json`` and ``configs.pkl`` (all configurations, draws included), ``source_files/*.py`` (what stands beside the
function that is run), ``<ID>/config.yml``, and ``<ID>/<seed>/`` with ``status.json``, ``result.json`` (with
``result.pkl``, where JSON cannot hold the result), ``stdout.txt``, ``error.txt`` (traceback of the last failure) and
whatever the run writes there.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib
import inspect
import io
import json
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import CodeType
from typing import Any, Final, Literal, get_args

import yaml

from discoenv.errors import ExperimentError
from discoenv.experiment import sealed
from discoenv.machine import atomic
from discoenv.machine.locks import try_lock, unlock
from discoenv.machine.owner import is_abandoned
from discoenv.machine.regular import require_text
from discoenv.text import encoded

OnExists = Literal["error", "resume", "clean", "backup"]
#: ``failed``: the function raised; ``infra``: its worker died, or it raised what the caller counts as the machine's
#: fault; ``running``: begun, perhaps killed; ``interrupted``: asked to stop.
JobState = Literal["pending", "running", "interrupted", "done", "failed", "infra"]
CHECKPOINT: Final = "resume_checkpoint"
_LARGEST_SOURCE: Final = 1 << 20
_LARGEST_CONFIGS: Final = 1 << 28
_LOCK_ATTEMPTS: Final = 10


@dataclass(frozen=True)
class JobStatus:
    """``status.json`` of one configuration and seed.

    Attributes:
        state: see :data:`JobState`.
        config: digest of the configuration that was run.
        attempts: how often it was begun.
        started, ended: Unix times, seconds.
        message: why it failed, in one line.
        host, process: who runs it (see :mod:`discoenv.machine.owner`), and its ``pid``.
    """

    state: JobState = "pending"
    config: str = ""
    attempts: int = 0
    started: float | None = None
    ended: float | None = None
    message: str = ""
    host: str = ""
    process: str = ""
    pid: int = 0

    @classmethod
    def read(cls, directory: Path) -> JobStatus:
        """The status in a job's folder; ``pending`` if there is none that can be read."""
        try:
            content = json.loads(require_text(directory / "status.json"))
            known = {each.name for each in fields(cls)}
            found = cls(**{key: value for key, value in content.items() if key in known})
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return cls()
        return found if found._is_typed else cls()

    @property
    def _is_typed(self) -> bool:
        """Whether each value is of its kind, as those of another's file need not be."""
        texts, counts = (self.config, self.message, self.host, self.process), (self.attempts, self.pid)
        times = [each for each in (self.started, self.ended) if each is not None]
        return (
            self.state in get_args(JobState)
            and all(isinstance(each, str) for each in texts)
            and all(isinstance(each, int) for each in counts)
            and all(isinstance(each, (int, float)) for each in times)
        )

    def write(self, directory: Path) -> None:
        """Replace the status in a job's folder."""
        atomic.write_text(directory / "status.json", json.dumps(asdict(self), indent=1) + "\n")

    def but(self, **changes: Any) -> JobStatus:
        """The same with some attributes changed."""
        return replace(self, **changes)

    @property
    def is_run_elsewhere(self) -> bool:
        """Whether a living process of this machine other than this one is at it."""
        if self.state != "running" or self.host != socket.gethostname() or self.pid == os.getpid():
            return False
        return bool(self.process) and not is_abandoned(f"discoenv-{self.process}-job") and _alive(self.pid)


class Checkpoint:
    """State of a run that is to go on where it was stopped; in its folder, the file ``resume_checkpoint``.

    Args:
        logdir: the folder that the run was given.
    """

    def __init__(self, logdir: str | Path) -> None:
        self.path = Path(logdir) / CHECKPOINT

    def save(self, state: Any) -> None:
        """Keep ``state``, any picklable object, in the place of the one before; a kill leaves one or the other."""
        sealed.write(self.path, dumps(state))

    def load(self, default: Any = None) -> Any:
        """The state that was kept last, or ``default``.

        Raises:
            ExperimentError: it is not this user's (:mod:`discoenv.experiment.sealed`), and was not loaded.
        """
        return sealed.read(self.path, cloudpickle().loads) if self.path.is_file() else default


class ExperimentFolder:
    """An experiment's folder.

    Args:
        directory: the folder.
        pickles: whether configurations are kept and read as a pickle, too; otherwise they are plain values.
    """

    def __init__(self, directory: Path, *, pickles: bool = True) -> None:
        self.directory = Path(directory).absolute()
        self._pickles = pickles

    def job(self, number: int, seed: int) -> Path:
        """Folder of one configuration and seed."""
        return self.directory / str(number) / str(seed)

    @property
    def exists(self) -> bool:
        """Whether there is anything in it (but the lock, and what hidden files there may be)."""
        return self.directory.is_dir() and any(not path.name.startswith(".") for path in self.directory.iterdir())

    def recorded(self) -> list[dict[str, Any]]:
        """Configurations of an earlier run, draws included; none if there was none."""
        path = self.directory / ("configs.pkl" if self._pickles else "configs.json")
        if not os.path.lexists(path):
            return []
        try:
            if not self._pickles:
                return _plain_configs(json.loads(require_text(path, _LARGEST_CONFIGS)))
            configs: list[dict[str, Any]] = sealed.read(path, cloudpickle().loads)
        except ExperimentError as error:
            raise ExperimentError(f"{error}; on_exists='backup' starts anew") from error
        except Exception as error:
            raise ExperimentError(f"{path} cannot be read ({error!r}); use on_exists='backup' to start anew") from error
        return configs

    def recorded_seed(self) -> int | None:
        """Seed of the recorded draws."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            seed = json.loads(require_text(self.directory / "configs.json", _LARGEST_CONFIGS))["seed"]
            return None if seed is None else int(seed)
        return None

    def make_way(self, on_exists: OnExists) -> None:
        """What ``on_exists`` says is to be done with what is there.

        Raises:
            ExperimentError: the folder is not empty, and is to be neither resumed nor cleaned nor renamed; or it is to
                be cleaned, but is not an experiment's.
        """
        if on_exists not in ("error", "resume", "clean", "backup"):
            raise ValueError(f"on_exists is {on_exists!r}; known are 'error', 'resume', 'clean' and 'backup'")
        if not self.exists or on_exists == "resume":
            return
        if on_exists == "error":
            raise ExperimentError(
                f"{self.directory} is not empty: on_exists='resume' goes on with it, 'backup' renames it, "
                "'clean' removes it"
            )
        if on_exists == "clean":
            if not (self.directory / "configs.json").is_file():
                raise ExperimentError(f"{self.directory} is not the folder of an experiment, so it is not removed")
            shutil.rmtree(self.directory)
            return
        old = self.directory.with_name(f"old_{self.directory.name}")
        if old.exists():
            old = old.with_name(f"{old.name}_{uuid.uuid4().hex[:8]}")
        self.directory.rename(old)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, so that no two processes run the same jobs.

        Raises:
            ExperimentError: another process holds it.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        for _ in range(_LOCK_ATTEMPTS):  # who only looks whether it is locked holds it for a moment
            descriptor = try_lock(self.directory / ".lock", fcntl.LOCK_EX)
            if descriptor is not None:
                break
            time.sleep(0.05)
        if descriptor is None:
            raise ExperimentError(f"{self.directory} is being run by another process; wait for it, or stop it")
        try:
            yield
        finally:
            unlock(descriptor)

    @property
    def is_locked(self) -> bool:
        """Whether a process is running the experiment."""
        if not (self.directory / ".lock").exists():
            return False
        descriptor = try_lock(self.directory / ".lock", fcntl.LOCK_SH)
        if descriptor is not None:
            unlock(descriptor)
        return descriptor is None

    def write(self, configs: Sequence[Mapping[str, Any]], seeds: Sequence[int], seed: int | None) -> None:
        """All folders, and the configurations."""
        for config in configs:
            folder = self.directory / str(config["ID"])
            for each in seeds:
                (folder / str(each)).mkdir(parents=True, exist_ok=True)
            folder.mkdir(exist_ok=True)
            text = yaml.safe_dump(plain(dict(config)), sort_keys=False, allow_unicode=True)
            atomic.write_text(folder / "config.yml", text)
        if self._pickles:
            sealed.write(self.directory / "configs.pkl", dumps([dict(config) for config in configs]))
        content = {"seed": seed, "seeds": list(seeds), "configs": [plain(dict(config)) for config in configs]}
        atomic.write_text(self.directory / "configs.json", json.dumps(content, indent=1) + "\n")

    def write_sources(self, function: Callable[..., Any]) -> None:
        """Copies of the Python files beside the one that defines ``function``, as far as that is in a file."""
        target = self.directory / "source_files"
        target.mkdir(exist_ok=True)
        while isinstance(function, functools.partial):
            function = function.func
        try:
            source = inspect.getsourcefile(inspect.unwrap(function))
        except TypeError:
            return
        for path in sorted(Path(source).parent.glob("*.py")) if source and Path(source).is_file() else ():
            if path.stat().st_size <= _LARGEST_SOURCE:
                shutil.copyfile(path, target / path.name)


def write_result(directory: Path, result: Any) -> bool:
    """Keep a job's result, unless there is one already: of two that do the same job, the first counts."""
    text = json.dumps(plain(result), indent=1)
    if not _survives_json(result, text):
        sealed.write(directory / "result.pkl", dumps(result))
    temporary = directory / f".result-{uuid.uuid4().hex}"
    temporary.write_bytes(encoded(text + "\n"))
    try:
        os.link(temporary, directory / "result.json")
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _plain_configs(content: Any) -> list[dict[str, Any]]:
    """The configurations in ``configs.json``.

    Raises:
        ValueError: they have another form.
    """
    configs = content.get("configs") if isinstance(content, dict) else None
    if not isinstance(configs, list) or not all(isinstance(each, dict) and "ID" in each for each in configs):
        raise ValueError("there is no list of configurations, each with an ID, under 'configs'")
    return configs


def read_result(directory: Path, *, pickles: bool = True) -> Any:
    """The result of a job that is done, equal to what its function returned; without pickles, as JSON has it.

    Raises:
        ExperimentError: its pickle is not this user's, and was not loaded; or it cannot be read.
    """
    path = directory / "result.pkl"
    if pickles and path.is_file():
        return sealed.read(path, cloudpickle().loads)
    try:
        return json.loads(require_text(directory / "result.json", _LARGEST_CONFIGS))
    except (OSError, ValueError, RecursionError) as error:
        raise ExperimentError(f"{directory / 'result.json'} cannot be read ({error})") from error


def forget_result(directory: Path) -> None:
    """Remove a result, so that the job can be run again."""
    for name in ("result.json", "result.pkl"):
        (directory / name).unlink(missing_ok=True)


def digest(config: Mapping[str, Any]) -> str:
    """A hash of a configuration; ``ID`` does not count."""
    content = plain({key: value for key, value in config.items() if key != "ID"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """``value`` as JSON and YAML have it: NumPy values as Python's, functions by name, all else as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, bool) or value is None or type(value) in (int, float, str):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _survives_json(value: Any, text: str) -> bool:
    """Whether reading ``text`` gives ``value`` again, with equal types all through."""
    try:
        return _same(json.loads(text), value)
    except Exception:  # comparisons are the value's own code
        return False


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def cloudpickle() -> Any:
    """The module.

    Raises:
        ExperimentError: it is not installed.
    """
    try:
        return importlib.import_module("cloudpickle")  # an extra
    except ImportError:
        raise ExperimentError("experiments need cloudpickle: pip install 'discoenv[bench]'") from None


def dumps(value: Any) -> bytes:
    """Pickle ``value``, functions and classes of the main program included; ``cloudpickle.loads`` reads it.

    Code keeps the name of its file, so that tracebacks of jobs show file and line; cloudpickle drops it since 3.1.3.

    Raises:
        ExperimentError: cloudpickle is not installed.
    """
    buffer = io.BytesIO()
    _pickler()(buffer).dump(value)
    return buffer.getvalue()


@functools.cache
def _pickler() -> Any:
    """cloudpickle's class of picklers, with another way to reduce code."""
    base = cloudpickle().Pickler
    reduce: Callable[[CodeType], tuple[type[CodeType], tuple[Any, ...]]] = base.dispatch_table[CodeType]

    def reduce_code(code: CodeType) -> tuple[type[CodeType], tuple[Any, ...]]:
        make, arguments = reduce(code)
        return make, tuple(code.co_filename if each == "<dynamic-code>" else each for each in arguments)

    return type("Pickler", (base,), {"dispatch_table": base.dispatch_table.new_child({CodeType: reduce_code})})
