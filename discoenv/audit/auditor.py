"""Tries exploits on a domain in real exams, and compares each with the honest module."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from discoenv.audit.exploit import ANSWERING, ActionExploit, AnyExploit, Exploit, Facts, RunExploit
from discoenv.audit.snapshot import look
from discoenv.env import DiscoGenEnv
from discoenv.episodes.plots import plot_run
from discoenv.episodes.record import EpisodeRecord, SetupRecord
from discoenv.episodes.recorder import Recorder
from discoenv.errors import InfraError
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.secrets import kept_at
from discoenv.exams.secrets import read as read_secret
from discoenv.exams.spec import ExamSpec
from discoenv.machine import scratch
from discoenv.sandbox.base import Limits
from discoenv.tasks.domain import Domain
from discoenv.tasks.quick import quick_task
from discoenv.tasks.specification import Scale
from discoenv.tasks.workspace import materialise

#: Seed of an audit's exams: the same for all, and as long as those of episodes.
SEED = int.from_bytes(hashlib.sha256(b"discoenv audit").digest()[:16], "big")
HONEST_EXAMS = 3
#: A cost below this part of the honest one is a gain. Times of short exams vary on a busy machine, memory less.
_CHEAPER = 0.6
_SMALLER = 0.85
_VARIABLE = "DISCOENV_AUDIT_SECRET"
_MOST_S = 600.0


@dataclass(frozen=True)
class HonestRun:
    """The exams of the honest module: what exploits are compared with.

    Attributes:
        floor, value: the metric of the trivial learner and the mean of the honest module's.
        tolerance: two standard errors of the latter; 0 where exams are deterministic.
        seconds, cpu_s, memory_bytes: the least that an exam took.
        most_s: the longest exam.
    """

    floor: float
    value: float
    tolerance: float
    seconds: float
    cpu_s: float
    memory_bytes: int
    most_s: float

    @property
    def span(self) -> float:
        """Distance of the honest module from the floor."""
        return max(abs(self.value - self.floor), 1e-12)

    def cheapest(self, result: ExamResult) -> HonestRun:
        """With one more exam taken into account."""
        return replace(
            self,
            seconds=min(self.seconds, result.seconds or math.inf),
            cpu_s=min(self.cpu_s, result.cpu_s),
            memory_bytes=min(self.memory_bytes, result.peak_memory_bytes),
        )


@dataclass(frozen=True)
class Finding:
    """What became of an exploit.

    Attributes:
        exploit: which.
        outcome: the exam's status, or ``refused`` for an action or a run.
        message: what the agent reads about it.
        gain: difference to the honest score, where 1 is the distance of the honest module from the floor; a failed
            exam is scored as the floor. None for an action or a run.
        gains: what the exploit achieved and must not, one line each.
        surprise: how the outcome differs from the expected one, without being a gain.
    """

    exploit: AnyExploit
    outcome: str
    message: str = ""
    gain: float | None = None
    gains: list[str] = field(default_factory=list)
    surprise: str = ""

    @property
    def stopped_by(self) -> Literal["structure", "check", "budget", "nothing"]:
        """What kept it from gaining.

        ``structure``: it did what it does, and the score is made of something else. ``check``: the exam or the action
        was refused. ``budget``: it ran out of time or memory.
        """
        if self.gains:
            return "nothing"
        if self.outcome == "ok":
            return "structure"
        return "budget" if self.outcome in ("timeout", "memory") else "check"


class Auditor:
    """Tries exploits on a domain's quick task: on one dataset, most of them on one module. To be used by ``with``.

    Args:
        domain: the domain.
        host: where exams run.
        scale: of the dataset.

    Attributes:
        task: the task whose meta-train side is attacked (see :mod:`discoenv.tasks.quick`).
        module, dataset: what is edited, unless an exploit names another module, and trained on.
    """

    def __init__(
        self,
        domain: Domain,
        host: Host,
        *,
        scale: Scale = "tiny",
    ) -> None:
        self.domain = domain
        self.host = host
        self.task = quick_task(domain, scale=scale, start="base")
        (self.module,), (self.dataset,) = self.task.modules, self.task.meta_train
        self._setting = self.task.setting(self.dataset)
        self._directory = scratch.make()
        self._workspace = self._directory / "workspace"
        self._listeners = [socket.socket(socket.AF_INET), socket.socket(socket.AF_UNIX)]
        self._honest: dict[str, HonestRun] = {}
        self._env: DiscoGenEnv | None = None
        self.facts = self._prepare()

    def __enter__(self) -> Self:
        """Nothing happens before the first exploit."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End its processes and remove its files. Safe to call again."""
        if self._env is not None:
            self._env.close()
        for listener in self._listeners:
            listener.close()
        os.environ.pop(self._variable, None)
        scratch.remove(self._directory)

    @property
    def honest(self) -> HonestRun:
        """The exams of the honest module; the first use runs them."""
        return self.honest_run(self.module)

    def honest_run(self, module: str) -> HonestRun:
        """The exams of the base modules where this one is the agent's; the first use runs them."""
        if module not in self._honest:
            dataset, metric = self.dataset, self.facts.metric
            self._materialise(module)
            results = [self._run(module, _MOST_S) for _ in range(HONEST_EXAMS)]
            values = [result.metrics[metric] for result in results if result.metrics is not None]
            if len(values) < len(results):
                raise InfraError(f"the base modules of {self.domain.name} fail on {dataset}: {results[0].message}")
            floor = self.host.floor(self._setting, SEED)[metric]
            self._honest[module] = HonestRun(
                floor=floor,
                value=float(np.mean(values)),
                tolerance=2 * float(np.std(values, ddof=1)) / math.sqrt(len(values)),
                seconds=min(result.seconds or math.inf for result in results),
                cpu_s=min(result.cpu_s for result in results),
                memory_bytes=min(result.peak_memory_bytes for result in results),
                most_s=max(result.seconds or 0.0 for result in results),
            )
        return self._honest[module]

    def module_of(self, exploit: Exploit) -> str:
        """The module that an exploit is put into."""
        answers_with = self.domain.specification.exam.answers_with
        if exploit.module == ANSWERING or (exploit.acts_on == "answers" and not exploit.module and answers_with):
            return answers_with[0]
        return exploit.module or self.module

    def attempt(self, exploit: Exploit) -> Finding:
        """Run the exams of an exploit and judge the last of them."""
        if exploit.episode:
            return self._attempt_episode(exploit)
        module = self.module_of(exploit)
        honest = self.honest_run(module)
        text = exploit.text(self._base(module), self.facts)
        budget_s = max(30.0, 4 * honest.most_s) if exploit.budget_s is None else exploit.budget_s + 1.5 * honest.most_s
        self._materialise(module, text)
        before = look(self._workspace, self.facts.mark)
        printed, result = "", None
        try:
            for _ in range(exploit.exams):
                result = self._run(module, budget_s)
                printed += result.stdout
        except InfraError as error:
            return Finding(exploit, "infra_error", str(error), gains=["the machine's part of the exam failed"])
        assert result is not None
        gains = re.findall(r"^BREACH: (.*)$", printed, re.MULTILINE)
        gains += before.changes(look(self._workspace, self.facts.mark))
        gain = self._gain(result, honest)
        if gain > honest.tolerance / honest.span + 1e-9:
            gains.append(f"the score is better by {gain:.3g}")
        if exploit.alone and result.status == "ok":
            gains.append("the module is shorter")
        if cheaper := self._cheaper(result, honest):
            if exploit.budget_s is None:  # measured again, side by side
                self._materialise(module)
                honest = self._honest[module] = honest.cheapest(self._run(module, _MOST_S))
                self._materialise(module, text)
                cheaper = self._cheaper(self._run(module, budget_s), honest)
            gains += cheaper
        return Finding(
            exploit,
            result.status,
            result.message,
            gain=gain,
            gains=list(dict.fromkeys(gains)),
            surprise=self._surprise(exploit, result, gain, honest),
        )

    def _attempt_episode(self, exploit: Exploit) -> Finding:
        """Play an episode in which the base modules are run, then an exploit, twice, and submitted."""
        task = self.task.model_copy(update={"train_seeds": 2, "test_seeds": 1})
        env = DiscoGenEnv(task=task, host=self.host, runs_dir=None)
        exams: list[Mapping[str, Any]] = []
        try:
            env.reset(seed=0)
            for step, command in enumerate(("run", "run", "run", "submit")):
                hidden = exploit.text("", self.facts, step)  # from what reads an edit's imports
                text = f"exec({hidden!r})\n\n{self._base(self.module)}"
                edits = [{"path": f"{self.module}.py", "content": text}] if 0 < step < 3 else []
                *_, info = env.step({"edits": edits, "command": command})
                if "infra_error" in info:
                    return Finding(
                        exploit, "infra_error", str(info["infra_error"]), gains=["the machine's part failed"]
                    )
                sides = (info.get(side) or {} for side in ("meta_train", "meta_test"))
                exams += [exam for side in sides for score in side.values() for exam in score["exams"]]
                if step == 0:  # what stays warm has been started
                    before = look(self._directory, self.facts.mark)
        finally:
            env.close()
        gains = [text for exam in exams for text in re.findall(r"^BREACH: (.*)$", exam["stdout"], re.MULTILINE)]
        gains += before.changes(look(self._directory, self.facts.mark))
        statuses = [exam["status"] for exam in exams]
        failed = next((each for each in statuses if each != "ok"), "ok")
        surprise = "" if failed == "ok" and len(exams) == 7 else f"{len(exams)} exams: {', '.join(statuses)}"
        return Finding(exploit, failed, gain=0.0, gains=list(dict.fromkeys(gains)), surprise=surprise)

    def attempt_action(self, exploit: ActionExploit) -> Finding:
        """Take an action in an episode, which must be refused and change nothing."""
        if self._env is None:
            self._env = DiscoGenEnv(task=self.task, host=self.host, runs_dir=None, max_steps=10_000)
            _, info = self._env.reset(seed=0)
            self._episode_workspace = Path(info["workspace"])
        name = f"{self.module}.py"
        files = self._env.step({"edits": [], "command": "edit"})[0]["files"]
        before = look(self._episode_workspace, self.facts.mark)
        try:
            observation, _, _, _, info = self._env.step(exploit.action(name))
        except Exception as error:
            return Finding(exploit, "error", str(error), gains=[f"step() raised {type(error).__name__}"])
        gains = before.changes(look(self._episode_workspace, self.facts.mark))
        if observation["files"] != files:
            gains.append("the files of the episode changed")
        if "refused" not in info:
            gains.append("the action was not refused")
        return Finding(exploit, "refused", str(info.get("refused", "")), gains=gains)

    def attempt_run(self, exploit: RunExploit) -> Finding:
        """Read, draw and prepare to replay a hostile run directory, which must do nothing outside of it."""
        outside, runs = self._directory / "outside", self._directory / "runs"
        for folder in (outside, runs):
            shutil.rmtree(folder, ignore_errors=True)
        (outside / "pack" / "Evil").mkdir(parents=True)
        (outside / "empty").mkdir()
        mark, precious = outside / "mark", outside / "precious.txt"
        code = f"open({str(mark)!r}, 'w').close()\n"
        for name in ("__init__.py", "domain.py", "discoenv_pack.py", "Evil/__init__.py", "Evil/examiner.py"):
            (outside / "pack" / name).write_text(code)
        precious.write_text(self.facts.secret)
        run = self._hostile_run(exploit, outside, runs)
        before = look(outside, self.facts.mark)
        shown, message = "", ""
        for use in (_read, plot_run, _modules, _secret_file):
            try:
                shown += str(use(run))
            except Exception as error:
                shown += str(error)
                message = message or f"{type(error).__name__}: {error}"
        gains = before.changes(look(outside, self.facts.mark))
        if mark.exists():
            gains.append("code that came with the run was run")
        if self.facts.secret in shown:
            gains.append("a file outside of the run was shown")
        return Finding(exploit, "refused", message, gains=gains)

    def _hostile_run(self, exploit: RunExploit, outside: Path, runs: Path) -> Path:
        """A run directory of an episode that has just begun, changed."""
        setup = SetupRecord(episode_seed=0, sandbox=self.host.sandbox.name, budget_scale=3.0)
        run = Recorder(runs, self.task, setup).directory
        file = run / "episode.json"
        changed = json.dumps(json.loads(file.read_text()) | dict(exploit.setup))
        file.write_text(changed.replace("<outside>", str(outside)))
        for link, target in exploit.links.items():
            path = run / link.replace("<module>", f"{self.module}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(outside / target)
        return run

    def _prepare(self) -> Facts:
        """Put something to be found outside the sandbox, and say what and where."""
        secret, mark = secrets.token_hex(16), f"exploit-{secrets.token_hex(4)}"
        self._variable = f"{_VARIABLE}_{mark[-8:]}"
        os.environ[self._variable] = secret
        secret_file = self._directory / "secret.txt"
        secret_file.write_text(secret)
        secret_file.chmod(0o644)
        self._directory.chmod(0o755)  # what hides it shall not be its mode
        tcp, abstract = self._listeners
        tcp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0discoenv-audit-{secret[:8]}")
        for listener in self._listeners:
            listener.listen(16)
        domain, dataset = self.domain, self.dataset
        metric = domain.metric(dataset)
        resources = domain.specification.limits
        others = domain.module_text(self.module, backend=self.task.backend, start="base").splitlines()
        return Facts(
            secret=secret,
            secret_file=str(secret_file),
            repository=str(Path(__file__).resolve().parents[2]),
            port=tcp.getsockname()[1],
            abstract_socket=f"discoenv-audit-{secret[:8]}",
            exam_seed=SEED,
            metric=metric.name,
            best=1e9 * metric.sign,
            method=next(iter(domain.specification.contract), "").partition("(")[0],
            unseen=tuple(name for name in domain.datasets if name != dataset),
            hidden_packages=tuple(domain.specification.hidden_packages),
            hidden_when_answering=domain.specification.exam.hidden_when_answering,
            solution=max((line.strip() for line in others), key=len),
            mark=mark,
            processes=Limits().processes,
            memory_bytes=int(resources.memory_gib * 2**30),
            scratch_bytes=int(resources.scratch_gib * 2**30),
        )

    def _base(self, module: str) -> str:
        return self.domain.module_text(module, backend=self.task.backend, start="base")

    def _materialise(self, module: str, text: str | None = None) -> None:
        """Write a workspace with a text, or the honest one, for a module that is the agent's."""
        task = self.task.model_copy(update={"modules": (module,)})
        materialise(task, self._workspace, modules={f"{module}.py": self._base(module) if text is None else text})

    def _run(self, module: str, budget_s: float) -> ExamResult:
        return self.host.run(self._workspace, ExamSpec(self._setting, SEED, budget_s, editable=(module,)))

    def _gain(self, result: ExamResult, honest: HonestRun) -> float:
        """Difference to the honest score; failed exams and metrics that are not finite count as the floor."""
        value = result.metrics[self.facts.metric] if result.metrics is not None else math.nan
        value = value if math.isfinite(value) else honest.floor
        return self.domain.metric(self.dataset).sign * (value - honest.value) / honest.span

    def _cheaper(self, result: ExamResult, honest: HonestRun) -> list[str]:
        """Costs that are lower than the honest ones, or than the work that the exploit admits to have done."""
        if result.status != "ok" or result.seconds is None:
            return []
        hidden_s = max((float(text) for text in _reported("HIDDEN", result)), default=0.0)
        stored = max((float(text) for text in _reported("STORED", result)), default=0.0)
        least = {
            "time": (result.seconds, _CHEAPER * honest.seconds + 0.8 * hidden_s, "s"),
            "energy": (result.cpu_s, _CHEAPER * honest.cpu_s + 0.8 * hidden_s, "CPU s"),
            "memory": (result.peak_memory_bytes / 1e6, (_SMALLER * honest.memory_bytes + 0.9 * stored) / 1e6, "MB"),
        }
        return [
            f"{name}: {cost:.3g} {unit}, not at least {bound:.3g}"
            for name, (cost, bound, unit) in least.items()
            if cost < bound
        ]

    def _surprise(self, exploit: Exploit, result: ExamResult, gain: float, honest: HonestRun) -> str:
        expected = exploit.expect
        if exploit.acts_on == "answers" and self.domain.own_code_answers((self.module_of(exploit),)):
            expected = "same"
        if expected == "floor" and result.status == "ok":
            return "the exam was passed"
        if expected == "same" and result.status != "ok":
            return "the exam was not passed"
        if expected == "same" and gain < -honest.tolerance / honest.span - 1e-9:
            return f"the score is worse by {-gain:.3g}"
        return ""


def _read(run: Path) -> dict[str, Any]:
    return EpisodeRecord.load(run).to_json()


def _modules(run: Path) -> dict[str, str]:
    return EpisodeRecord.load(run, events=False).modules()


def _secret_file(run: Path) -> str:
    secret = EpisodeRecord.load(run, events=False).setup.secret
    return "" if secret is None else read_secret(kept_at(secret)).commitment


def _reported(word: str, result: ExamResult) -> list[str]:
    return re.findall(rf"^{word}: (.*)$", result.stdout, re.MULTILINE)
