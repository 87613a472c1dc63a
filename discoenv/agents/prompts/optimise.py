"""Rewrites an agent's prompt by reflecting on its episodes: GEPA (Agrawal et al. 2025), with discoenv as the system.

Nothing of GEPA's own state is kept. A run that goes on starts again with the same random numbers, and finds the
episodes and reflections that it has had on disk: it repeats none, and ends where one that was never stopped would.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from discoenv.agents.llm.chat import ChatModel
from discoenv.agents.prompts.episodes import Assignment, EpisodePlayer, PlayedEpisode
from discoenv.errors import ChatError, EpisodeSpoilt, PackageMissing
from discoenv.machine import atomic
from discoenv.text import encoded

if TYPE_CHECKING:
    from gepa.core.adapter import EvaluationBatch, ProposalFn
    from gepa.core.result import GEPAResult

#: The part of the agent that is rewritten, as GEPA calls it.
COMPONENT: Final = "instructions"

#: What the reflecting model is asked; GEPA fills in the prompt and the episodes.
REFLECTION: Final = """\
An agent discovers machine-learning algorithms: it is given a small research code base, writes some of its modules, \
trains, reads scores, and submits. It is rewarded by how well its modules do on hidden datasets. This is its system \
prompt:
```
<curr_param>
```

These are episodes that it played with this prompt, on different tasks, and how they went:
```
<side_info>
```

Write a better system prompt. Find out from the episodes what cost the agent reward: crashes and wrong interfaces, \
actions that led nowhere, gains on the visible datasets that did not carry over, ideas that it did not try. Give \
advice that helps on tasks and domains that are not shown here, since that is where the prompt will be used; keep what \
works, and be concrete and brief. The task itself and the tools are explained to the agent elsewhere.

Answer with the new system prompt alone, within ``` blocks."""


@dataclass(frozen=True)
class Optimised:
    """The best prompt of a search, and the others.

    Attributes:
        prompt: the best one, by its mean reward on the training tasks.
        score, seed_score: mean rewards on the training tasks, of it and of the prompt that the search began with.
        prompts, scores: all that were accepted, the first one included.
    """

    prompt: str
    score: float
    seed_score: float
    prompts: list[str]
    scores: list[float]


def require_gepa() -> None:
    """Raise an error if GEPA cannot be imported, before anything is spent.

    Raises:
        PackageMissing: the package gepa is not installed.
    """
    try:
        import gepa.api  # noqa: F401
    except ModuleNotFoundError as error:
        raise PackageMissing("the prompt optimiser needs the package gepa: pip install 'discoenv[agents]'") from error


def most_episodes(tasks: int, *, rounds: int, minibatch: int) -> int:
    """Most episodes that :func:`optimise` plays: all tasks with the first prompt, and in each round the parent and
    the child on a minibatch, and the child on all tasks.
    """
    return tasks + rounds * (2 * min(minibatch, tasks) + tasks)


class Reflector:
    """Asks the reflecting model, and keeps its answers in ``<directory>/reflections``.

    The same question asked again in one search is another question: its answer may be another one.
    """

    def __init__(self, directory: Path, model: ChatModel) -> None:
        self._folder = directory / "reflections"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._model = model
        self._asked: Counter[str] = Counter()

    def __call__(self, prompt: str | list[dict[str, Any]]) -> str:
        """The answer.

        Raises:
            EpisodeSpoilt: the model cannot be had.
        """
        text = prompt if isinstance(prompt, str) else json.dumps(prompt)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        self._asked[digest] += 1
        path = self._folder / f"{digest}-{self._asked[digest]}.json"
        if path.exists():
            return str(json.loads(path.read_text(encoding="utf-8"))["reply"])
        try:
            reply = self._model.complete([{"role": "user", "content": text}], label="reflection")
        except ChatError as error:
            raise EpisodeSpoilt(f"the reflecting model: {error}") from error
        content = {"prompt": text, "reply": reply.text, "usage": dict(reply.usage), "cost": reply.cost}
        atomic.write_text(path, json.dumps(content, indent=1) + "\n")
        return reply.text


class DiscoGenAdapter:
    """How GEPA plays episodes and reads them: its protocol ``GEPAAdapter``."""

    #: GEPA writes new prompts itself.
    propose_new_texts: ProposalFn | None = None

    def __init__(self, player: EpisodePlayer) -> None:
        self._player = player

    def evaluate(
        self, batch: list[Assignment], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[PlayedEpisode, PlayedEpisode]:
        """Rewards of a prompt on some tasks."""
        from gepa.core.adapter import EvaluationBatch

        episodes = self._player.play(batch, candidate[COMPONENT])
        scores = [episode.reward for episode in episodes]
        return EvaluationBatch(outputs=episodes, scores=scores, trajectories=episodes if capture_traces else None)

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[PlayedEpisode, PlayedEpisode],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What the reflecting model reads about the episodes."""
        records = [
            {"Task": episode.summary, "Actions": list(episode.actions), "Feedback": episode.feedback}
            for episode in eval_batch.trajectories or []
        ]
        return dict.fromkeys(components_to_update, records)


class _LogFile:
    """GEPA's remarks, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_text("", encoding="utf-8")

    def log(self, message: str) -> None:
        """Append a remark."""
        with self._path.open("ab") as file:
            file.write(encoded(f"{message}\n"))


def optimise(
    directory: Path,
    assignments: Sequence[Assignment],
    player: EpisodePlayer,
    reflect: Reflector,
    *,
    prompt: str,
    rounds: int,
    minibatch: int,
    seed: int,
) -> Optimised:
    """Search for a better prompt.

    Args:
        directory: where remarks and the result (``prompt.txt``, ``optimised.json``) are written.
        assignments: the training tasks.
        player: plays episodes.
        reflect: asks the reflecting model.
        prompt: the first prompt.
        rounds: prompts that are proposed.
        minibatch: tasks on which a proposal is compared with its parent before it is tried on all.
        seed: of the search.

    Raises:
        EpisodeSpoilt: the machine or a model failed; call again to go on.
        BudgetSpent: the reflecting model's budget is spent; call again, with a larger one, to go on.
        PackageMissing: the package gepa is not installed.
    """
    require_gepa()
    from gepa.api import optimize

    directory.mkdir(parents=True, exist_ok=True)
    result: GEPAResult[PlayedEpisode, int] = optimize(
        seed_candidate={COMPONENT: prompt},
        trainset=list(assignments),
        adapter=DiscoGenAdapter(player),
        reflection_lm=reflect,
        reflection_prompt_template=REFLECTION,
        reflection_minibatch_size=min(minibatch, len(assignments)),
        skip_perfect_score=False,  # a reward of 1 is the baseline, not the best
        stop_callbacks=lambda state: state.i + 1 >= rounds,
        logger=_LogFile(directory / "gepa.log"),
        track_best_outputs=False,
        seed=seed,
    )
    prompts = [candidate[COMPONENT] for candidate in result.candidates]
    scores = [float(score) for score in result.val_aggregate_scores]
    best = max(range(len(scores)), key=scores.__getitem__)
    optimised = Optimised(prompts[best], scores[best], scores[0], prompts, scores)
    atomic.write_text(directory / "prompt.txt", optimised.prompt)
    atomic.write_text(directory / "optimised.json", json.dumps(asdict(optimised), indent=1) + "\n")
    return optimised
