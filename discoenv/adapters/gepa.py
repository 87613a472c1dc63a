"""GEPA over modules: a candidate is a set of modules, and what it is worth is a run on the meta-train side.

The prompts of agents are another thing to optimise with GEPA: see :mod:`discoenv.agents.prompts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discoenv.adapters.frameworks import require
from discoenv.adapters.session import Outcome, Session
from discoenv.errors import InfraError

Candidate = dict[str, str]


class ModuleEvaluator:
    """What ``gepa.optimize_anything`` wants as its ``evaluator``: modules in, a score and a text for
    the reflecting model out.

    The score is the mean normalised score of a run on all meta-train datasets; a candidate that cannot be run has the
    score 0, and its side information says why. Runs that were held before cost nothing.

    Args:
        session: the episode; each new candidate takes one of its actions, of which the last is left for the submission.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def runs_left(self) -> int:
        """Candidates that can still be run."""
        return max(0, self._session.play.steps_left - 1)

    def __call__(self, candidate: Mapping[str, str], example: object = None) -> tuple[float, dict[str, Any]]:
        """Run a candidate.

        Args:
            candidate: text by file name, such as ``model.py``.
            example: not used: there is one problem.

        Returns:
            The score, and ``{"feedback": …}``.

        Raises:
            InfraError: the machine failed; nothing was learnt.
        """
        play = self._session.play
        before = len(play.runs)
        written = play.write(dict(candidate))
        if not written.ok:
            return 0.0, {"feedback": written.text}
        if self.runs_left == 0:
            return 0.0, {"feedback": "All runs are used up."}
        result = self._session.call("run")
        if len(play.runs) == before:
            return 0.0, {"feedback": result.text}
        return play.runs[-1].score, {"feedback": result.text}

    def stop(self, state: object = None) -> bool:
        """Whether no candidate can be run any more: a stop callback of GEPA."""
        return self.runs_left == 0 or self._session.over


def optimise_modules(
    session: Session,
    reflection_lm: Any,
    *,
    max_candidates: int | None = None,
    seed: int = 0,
    components: Sequence[str] = (),
) -> Outcome:
    """Play an episode by GEPA: reflect on what runs reported, rewrite modules, and submit the best.

    Args:
        session: the episode, at its start.
        reflection_lm: the model that rewrites: a function from prompt to answer, or a name as LiteLLM knows it.
        max_candidates: candidates to run; None: as many as the episode has actions for.
        seed: of GEPA's random choices.
        components: files to rewrite; default: all modules.

    Returns:
        What the episode came to.

    Raises:
        PackageMissing: GEPA is not installed.
        InfraError: the machine failed.
    """
    require("gepa")
    from gepa.optimize_anything import EngineConfig, GEPAConfig, ReflectionConfig, optimize_anything  # noqa: PLC0415

    evaluator = ModuleEvaluator(session)
    files = session.play.files
    chosen = {name: text for name, text in files.items() if not components or name in components}
    failures: list[InfraError] = []

    def evaluate(candidate: Mapping[str, str]) -> tuple[float, dict[str, Any]]:
        try:
            return evaluator(candidate)
        except InfraError as error:  # GEPA would take an exception for a bad candidate
            failures.append(error)
            return 0.0, {"feedback": "The machine failed."}

    optimize_anything(
        seed_candidate=chosen,
        evaluator=evaluate,
        objective="Modules of a machine-learning code base that score best on hidden datasets.",
        background=session.introduction,
        config=GEPAConfig(
            engine=EngineConfig(
                max_metric_calls=max_candidates or evaluator.runs_left, seed=seed, raise_on_exception=True
            ),
            reflection=ReflectionConfig(reflection_lm=reflection_lm, skip_perfect_score=False),
            stop_callbacks=[lambda state: evaluator.stop() or bool(failures)],
        ),
    )
    if failures:
        raise failures[0]
    return session.reward()
