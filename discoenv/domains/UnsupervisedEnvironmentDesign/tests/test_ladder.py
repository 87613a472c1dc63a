"""The ladder: each method trains, and scores and buffers are those of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.UnsupervisedEnvironmentDesign.tests.conftest import DOMAIN, short_config, trained
from discoenv.tasks.ladder import ladder_of, method_text, methods_of
from discoenv.testing import examined, import_learner, make_examiner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

LADDERS = ladder_of(DOMAIN)
TRACKS = "Jumping/Tracks"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("backend", "number"), [*(("default", number) for number in range(6)), ("replay", 0)])
def test_every_method_passes_an_exam(backend: str, number: int) -> None:
    """The methods with this number, one of each module, are played together."""
    methods: dict[str, list[str]] = {}
    for module, name in methods_of(DOMAIN, backend):
        methods.setdefault(module, []).append(name)
    chosen = {module: names[number % len(names)] for module, names in methods.items()}
    texts = {module: method_text(DOMAIN, module, method) for module, method in chosen.items()}
    with import_learner(DOMAIN, dataset=TRACKS, backend=backend, modules=texts) as code:
        ((state, _),) = trained(code, short_config(TRACKS, CHECKPOINTS=3))
        metrics = examined(make_examiner(DOMAIN, TRACKS), code.answer, state, 0)
    assert 0.0 <= metrics["solve_rate"] <= 1.0, chosen
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state["params"])), chosen


def test_every_method_is_in_an_exam_above() -> None:
    assert max(len(ladder.methods) for ladder in LADDERS.values()) == 6


def advantages(play: Any, config: Any) -> Any:
    """Generalised advantages [T, A, N], one number after another."""
    found = np.zeros(play.reward.shape)
    steps, attempts, levels = found.shape
    for attempt in range(attempts):
        for level in range(levels):
            following, value = 0.0, play.last_value[attempt, level]
            for t in reversed(range(steps)):
                at = t, attempt, level
                on = 1.0 - play.ended[at]
                delta = play.reward[at] + config["GAMMA"] * on * value - play.value[at]
                following = delta + config["GAMMA"] * config["GAE_LAMBDA"] * on * following
                found[at], value = following, play.value[at]
    return found


@pytest.mark.parametrize("method", LADDERS["score"].methods)
def test_scores_are_those_of_the_papers(method: str, generator: np.random.Generator) -> None:
    config = DOMAIN.config("Mazes/Small", "tiny")
    shape = (9, 2, 4)
    ended = generator.random(shape) < 0.3
    solved = ended & (generator.random(shape) < 0.5)
    with import_learner(DOMAIN, modules={"score": method_text(DOMAIN, "score", method)}) as code:
        played = code.play.Play(
            (solved * generator.random(shape)).astype(np.float32),
            ended,
            solved,
            *generator.random((2, *shape)).astype(np.float32),
            generator.random(shape[1:]).astype(np.float32),
        )
        scores = np.asarray(code.score.score_levels(jax.tree.map(jnp.asarray, played), config))
    p, n = solved.sum(axis=(0, 1)) / np.maximum(ended.sum(axis=(0, 1)), 1), ended.sum(axis=(0, 1))
    match method:
        case "uniform":
            expected = np.zeros(4)
        case "value_loss":
            expected = np.abs(advantages(played, config)).mean(axis=(0, 1))
        case "positive_value_loss":
            expected = np.maximum(advantages(played, config), 0).mean(axis=(0, 1))
        case "max_monte_carlo":
            expected = (played.reward.max(axis=(0, 1)) - played.value).mean(axis=(0, 1))
        case "corrected":
            expected = p * (1 - p) * n / (n + 1)
        case "first_episodes":
            first = [[next(iter(solved[ended[:, a, i], a, i]), False) for a in range(2)] for i in range(4)]
            expected = np.mean(first, axis=1) * (1 - np.mean(first, axis=1))
        case _:
            pytest.fail(f"{method} has no reference")
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("method", LADDERS["buffer"].methods)
def test_buffers_keep_and_draw_what_they_say(method: str) -> None:
    config = {**DOMAIN.config("Mazes/Small", "tiny"), "KEEP": 3}
    with import_learner(DOMAIN, modules={"buffer": method_text(DOMAIN, "buffer", method)}) as code:
        buffer = code.buffer.create_buffer({"number": jnp.int32(0)}, config)
        for first, scores in ((0, [0.1, 0.5, 0.3, 0.9]), (10, [0.0, 0.2, 0.4, 0.05])):
            levels = {"number": first + jnp.arange(4)}
            buffer = code.buffer.insert_levels(buffer, levels, jnp.array(scores), config)
        kept = sorted(np.asarray(buffer.levels["number"]).tolist())
        if method == "newest":
            assert kept == [10, 11, 12]
        else:
            assert kept == ([1, 3, 12] if method in ("lasting", "revised", "prioritised") else [11, 12, 13])
        drawn, index = code.buffer.draw_levels(jax.random.key(0), buffer, 6000, config)
        np.testing.assert_array_equal(drawn["number"], np.asarray(buffer.levels["number"])[np.asarray(index)])
        share = np.bincount(index, minlength=3) / 6000
        revised = code.buffer.revise_scores(buffer, jnp.array([1, -1]), jnp.array([7.0, 8.0]), config)
    changed = np.asarray(revised.scores) != np.asarray(buffer.scores)
    assert changed.tolist() == [False, method in ("revised", "prioritised"), False]
    order = np.argsort(-np.asarray(buffer.scores))
    if method == "rank":
        np.testing.assert_allclose(share[order], np.array([6, 3, 2]) / 11, atol=0.03)
    elif method == "proportional":
        np.testing.assert_allclose(share, np.asarray(buffer.scores) / buffer.scores.sum(), atol=0.03)
    elif method != "prioritised":
        np.testing.assert_allclose(share, 1 / 3, atol=0.03)
