"""Evaluation episodes of the RL domains: exported programs compute what traced ones do, and need no simulator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.tasks.registry import get_domain

jax = pytest.importorskip("jax")
pytest.importorskip("gymnax")
pytest.importorskip("flatbuffers")

from discoenv.domains.OffPolicyRL import evaluation as off_policy  # noqa: E402
from discoenv.domains.OnPolicyRL import evaluation as on_policy  # noqa: E402
from discoenv.examiners.policy import define  # noqa: E402

STEPS = 30
FEW = {"EVALUATION_EPISODES": 4, "EVALUATION_RANDOM_STEPS": 3}
CARTPOLE = {"ENV_NAME": "CartPole-v1", "TIME_LIMIT": 200, **FEW}


def play(reset: Any, step: Any, actions: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """All that the programs return, but keys."""
    progress, key, obs = reset(np.int32(7))
    arrays = [obs]
    for time, action in enumerate(actions):
        progress, *outcome = step(progress, key, np.int32(time), action)
        arrays += outcome
    leaves = [leaf for leaf in jax.tree.leaves(progress) if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    return [np.asarray(array) for array in arrays + leaves]


def assert_identical(episodes: Any, definition: Any, actions: np.ndarray[Any, Any]) -> None:
    """That programs of the store and the functions themselves, compiled here, agree in every bit."""
    assert len(definition.functions) == 2
    traced = [jax.jit(definition.functions[name][0]) for name in ("reset", "step")]
    stored = play(episodes._reset, episodes._step, actions)
    for ours, theirs in zip(stored, play(traced[0], traced[1], actions), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert len({obs.tobytes() for obs in stored[1:-4:3]}) > 1  # something happens in these episodes


@pytest.mark.parametrize(
    "dataset",
    [
        "MinAtar/Breakout",
        pytest.param("Brax/Reacher", marks=pytest.mark.slow),
    ],
)
def test_on_policy_episodes_are_those_of_the_simulator(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = get_domain("OnPolicyRL")
    if domain.missing_packages(dataset):
        pytest.skip(f"{dataset} needs packages that are not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config: Mapping[str, Any] = domain.config(dataset, "tiny") | FEW
    on_policy.make_episodes(config)  # stores them
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("discoenv.examiners.policy.define", lambda *_: pytest.fail("it was traced again"))
        episodes = on_policy.make_episodes(config)
    generator, shape = np.random.default_rng(0), (STEPS, FEW["EVALUATION_EPISODES"])
    if episodes.action_dim is None:
        actions = generator.integers(int(episodes.high) + 1, size=shape).astype(np.int32)
    else:
        actions = generator.uniform(-1, 1, (*shape, episodes.action_dim)).astype(np.float32)
    assert_identical(episodes, define(on_policy.make, config), actions)


def test_off_policy_episodes_are_those_of_the_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    off_policy.make_episodes(CARTPOLE)
    episodes = off_policy.make_episodes(CARTPOLE)
    actions = np.random.default_rng(0).integers(2, size=(STEPS, episodes.count)).astype(np.int32)
    assert_identical(episodes, define(off_policy.make, CARTPOLE), actions)


def test_a_later_process_imports_no_simulator(tmp_path: Path) -> None:
    code = f"""
import sys
from discoenv.domains.OffPolicyRL.evaluation import make_episodes
obs, _ = make_episodes({CARTPOLE}).start(3)
print("gymnax" in sys.modules, obs.tolist())
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    first, second = (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first.startswith("True [[")
    assert second == first.replace("True", "False")
