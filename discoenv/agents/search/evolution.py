"""One run of evolutionary search: generations of modules on islands, examined in parallel; resumable from its folder.

Everything is written as it happens: ``evolve.json`` (the settings), ``individuals/`` (one file each, from the proposal
on), ``submission/`` and ``result.json``. A run that was killed goes on from there: no individual is made twice, and
none is examined twice whose exams were over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gymnasium as gym
import numpy as np
from pydantic import TypeAdapter

import discoenv  # noqa: F401 - registers the environment
from discoenv.agents.search.islands import Individual, Islands, typed
from discoenv.agents.search.operators import Operator, OperatorFailed, Parent, Proposal
from discoenv.env import DiscoGenEnv
from discoenv.errors import BudgetSpent, InfraError
from discoenv.exams.host import Host
from discoenv.machine import atomic
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

if TYPE_CHECKING:
    from discoenv.vector import DiscoGenVectorEnv

#: Modules at whose exams the machine failed this often are given up.
_MACHINE_FAILURES: Final = 2
#: The vector environment's episodes are not to end by themselves.
_MANY_STEPS: Final = 1_000_000


@dataclass(frozen=True)
class EvolutionSettings:
    """What defines a run; ``evolve.json``.

    Attributes:
        task: the task, as plain values.
        seed: of the episode (and so of all exams) and of the search.
        generations: generations after the first, which is the base modules.
        children: individuals per generation, dealt to the islands in turn.
        islands, island_size, migration_every: see :class:`discoenv.agents.search.islands.Islands`.
        operator: how it was made, for the record: ``ast`` or ``llm``, and its options.
        budget_scale: compute budget of an exam, as a multiple of the baseline's seconds.
    """

    task: dict[str, Any]
    seed: int
    generations: int
    children: int
    islands: int
    island_size: int
    migration_every: int
    operator: dict[str, Any]
    budget_scale: float = 2.0

    def save(self, directory: Path) -> None:
        """Write ``evolve.json``."""
        atomic.write_text(directory / "evolve.json", json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path) -> EvolutionSettings:
        """Read ``evolve.json``.

        Raises:
            FileNotFoundError: the folder is not a run of this agent.
            RunError: the file has another form.
        """
        path = directory / "evolve.json"
        if not path.is_file():
            raise FileNotFoundError(f"{directory}: evolve.json is missing, so this is not a run that can go on")
        return typed(path, TypeAdapter(cls))


@dataclass(frozen=True)
class MetaTrainResult:
    """Modules run on the meta-train datasets.

    Attributes:
        score: mean normalised score; None if there is none.
        reward: the objective's value on these datasets; None if there is none.
        feedback: scores and errors, as text.
        infra_error: the machine's failure, if any.
    """

    score: float | None
    reward: float | None
    feedback: str
    infra_error: str | None = None


class ParallelEvaluator:
    """Runs modules on a task's meta-train datasets, several at a time and all with the same exam seeds.

    Args:
        task: the task.
        seed: of the episodes.
        num_envs: modules that are examined at the same time.
        host: where exams run.
        budget_scale: compute budget of an exam, as a multiple of the baseline's seconds.
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        num_envs: int,
        *,
        host: Host,
        budget_scale: float = 2.0,
    ) -> None:
        self._seeds = [seed] * num_envs
        self._env: DiscoGenVectorEnv = gym.make_vec(  # type: ignore[assignment]
            "DiscoGen-v0",
            num_envs,
            task=task,
            host=host,
            limits={"budget_scale": budget_scale},
            runs_dir=None,
            max_steps=_MANY_STEPS,
            autoreset_mode="Disabled",
        )
        self._env.reset(seed=self._seeds)

    def evaluate(self, candidates: Sequence[Mapping[str, str]]) -> list[MetaTrainResult]:
        """Run up to ``num_envs`` candidates (modules by file name) at once."""
        actions: list[dict[str, Any]] = [
            {"edits": [{"path": name, "content": text} for name, text in modules.items()], "command": "run"}
            for modules in candidates
        ]
        idle: list[dict[str, Any]] = [{"command": "edit"}] * (len(self._seeds) - len(candidates))
        observations, _, terminations, truncations, infos = self._env.step([*actions, *idle])
        singles = self._env.split(observations, infos)[: len(candidates)]
        over = terminations | truncations
        if over.any():  # the machine failed: start again, with the same exams
            self._env.reset(seed=self._seeds, options={"reset_mask": over})
        return [
            MetaTrainResult(
                info.get("score"), info.get("meta_train_reward"), observation["text"], info.get("infra_error")
            )
            for observation, info in singles
        ]

    def close(self) -> None:
        """End the processes."""
        self._env.close()


class Evolution:
    """One run.

    Args:
        directory: its run directory; what is there already is taken up.
        settings: what defines it.
        operator: makes children.
        num_envs: candidates that are examined at the same time.
        host: where exams run.
        on_generation: called after each generation with its number, its individuals and the islands.

    Attributes:
        individuals: all so far, by number.
        budget_spent: why the operator could not go on, if it could not.
    """

    def __init__(
        self,
        directory: Path,
        settings: EvolutionSettings,
        operator: Operator,
        *,
        num_envs: int = 4,
        host: Host,
        on_generation: Callable[[int, Sequence[Individual], Islands], None] = lambda number, individuals, islands: None,
    ) -> None:
        if settings.children < 1 or settings.generations < 0 or num_envs < 1:
            raise ValueError("children and num_envs must be at least 1, and generations not negative")
        self.directory = directory
        self.settings = settings
        self.task = Task.parse(settings.task)
        self.islands = Islands(settings.islands, settings.island_size, settings.migration_every)
        self.budget_spent: BudgetSpent | None = None
        self._folder = directory / "individuals"
        self._folder.mkdir(parents=True, exist_ok=True)
        settings.save(directory)
        loaded = (Individual.load(path) for path in sorted(self._folder.glob("[0-9]*.json")))
        self.individuals = {individual.number: individual for individual in loaded}
        base = self.individuals.get(0)
        if base is not None and base.score is None and base.failures:
            base.evaluated, base.failures = False, 0  # perhaps the machine works now
        self._operator = operator
        self._num_envs, self._host = num_envs, host
        self._evaluator: ParallelEvaluator | None = None
        self._on_generation = on_generation

    def run(self) -> dict[str, Any]:
        """Run all generations, submit the best individual, and return what ``result.json`` says.

        Raises:
            InfraError: the machine failed at the base modules or at the submission; call again to go on.
            LookupError: not even the base modules could be scored.
        """
        try:
            for generation in range(self.settings.generations + 1):
                individuals = self._born(generation)
                self._examine(individuals)
                self.islands.add_generation(generation, individuals)
                self._require_a_score()
                self._on_generation(generation, individuals, self.islands)
                if self.budget_spent is not None:
                    break
        finally:
            if self._evaluator is not None:
                self._evaluator.close()
                self._evaluator = None
        return self._submit()

    def _require_a_score(self) -> None:
        if self.islands.best is None:
            base = self.individuals[0]
            kind = InfraError if base.failures else LookupError
            raise kind(f"the base modules have no score, so there is nothing to improve: {base.feedback}")

    def _born(self, generation: int) -> list[Individual]:
        """The individuals of a generation: those on disk, and new ones for the others."""
        if generation == 0:
            numbers = range(1)
        else:
            first = 1 + (generation - 1) * self.settings.children
            numbers = range(first, first + self.settings.children)
        missing = [number for number in numbers if number not in self.individuals]
        known = {tuple(sorted(each.modules.items())) for each in self.individuals.values()}
        with ThreadPoolExecutor(self._num_envs) as threads:
            children = [threads.submit(self._make, number, generation, known) for number in missing]
            for child in children:
                try:
                    individual = child.result()
                except BudgetSpent as error:
                    self.budget_spent = error
                    continue
                self.individuals[individual.number] = individual
        return [self.individuals[number] for number in numbers if number in self.individuals]

    def _make(self, number: int, generation: int, known: set[tuple[tuple[str, str], ...]]) -> Individual:
        """One new individual, written to disk before its exams; without modules, if the operator failed."""
        if generation == 0:
            individual = Individual(0, 0, 0, base_modules(self.task), description="the base modules")
        else:
            island = (number - 1) % self.settings.islands
            rng = np.random.default_rng([self.settings.seed, number])
            parents = self.islands.parents(island, rng)
            individual = Individual(number, generation, island, {}, [parent.number for parent in parents])
            try:
                proposal = self._propose(parents, rng, number, known)
                individual.modules, individual.description = proposal.modules, proposal.description
            except OperatorFailed as error:
                individual.feedback, individual.evaluated = f"not made: {error}", True
        individual.save(self._folder)
        return individual

    def _propose(
        self,
        parents: Sequence[Individual],
        rng: np.random.Generator,
        number: int,
        known: set[tuple[tuple[str, str], ...]],
    ) -> Proposal:
        sources = [Parent(parent.modules, parent.score, parent.feedback) for parent in parents]
        problem = OperatorFailed("it would be a copy of an earlier one")
        for _ in range(self._operator.attempts):
            try:
                proposal = self._operator.propose(sources, rng, label=f"individual {number}")
            except OperatorFailed as error:
                problem = error
                continue
            if tuple(sorted(proposal.modules.items())) not in known:
                return proposal
        raise problem

    def _examine(self, individuals: Sequence[Individual]) -> None:
        """Exams of those that had none, ``num_envs`` at a time; each is on disk as soon as its score is known."""
        waiting = [individual for individual in individuals if not individual.evaluated]
        while waiting:
            if self._evaluator is None:
                self._evaluator = ParallelEvaluator(
                    self.task,
                    self.settings.seed,
                    self._num_envs,
                    host=self._host,
                    budget_scale=self.settings.budget_scale,
                )
            batch, waiting = waiting[: self._num_envs], waiting[self._num_envs :]
            for individual, result in zip(
                batch, self._evaluator.evaluate([each.modules for each in batch]), strict=True
            ):
                individual.score, individual.reward = result.score, result.reward
                individual.feedback = result.feedback
                if result.infra_error is not None:
                    individual.failures += 1
                individual.evaluated = result.infra_error is None or individual.failures >= _MACHINE_FAILURES
                individual.save(self._folder)
                if not individual.evaluated:
                    waiting.append(individual)

    def _submit(self) -> dict[str, Any]:
        """Score the best individual on the meta-test datasets, unless that was done before."""
        best = self.islands.best
        assert best is not None
        path = self.directory / "result.json"
        if path.exists():
            result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if result["best"] == best.number:
                return result
        env = DiscoGenEnv(
            task=self.task,
            host=self._host,
            runs_dir=self.directory / "submission",
            max_steps=1,
            limits={"budget_scale": self.settings.budget_scale},
        )
        try:
            env.reset(seed=self.settings.seed)
            edits = [{"path": name, "content": text} for name, text in best.modules.items()]
            _, reward, _, _, info = env.step({"edits": edits, "command": "submit"})
        finally:
            env.close()
        if "infra_error" in info:
            raise InfraError(f"the submission: {info['infra_error']}")
        result = {
            "reward": float(reward),
            "best": best.number,
            "meta_train_score": best.score,
            "meta_train_reward": best.reward,
            "base_meta_train_score": self.individuals[0].score,
            "individuals": len(self.individuals),
            "budget_spent": None if self.budget_spent is None else str(self.budget_spent),
            "task_id": info["task_id"],
            "meta_test": info["meta_test"],
            "run_directory": info["run_directory"],
        }
        atomic.write_text(path, json.dumps(result, indent=1, default=str) + "\n")
        return result

    def trace(self) -> list[float]:
        """Best meta-train score up to each individual, in the order of their numbers; −∞ before the first score."""
        scores = [each.score if each.score is not None else -np.inf for _, each in sorted(self.individuals.items())]
        return [float(best) for best in np.maximum.accumulate(scores)]


def sampled_task(seed: int, **arguments: Any) -> Task:
    """The task that ``DiscoGenEnv(**arguments)`` gives for ``seed``."""
    env = DiscoGenEnv(runs_dir=None, **arguments)
    try:
        _, info = env.reset(seed=seed)
    finally:
        env.close()
    return Task.parse(info["task"])
