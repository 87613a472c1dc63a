"""The vector environment: the same episodes as one by one, at the same time, and none is harmed by another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from discoenv.env import DiscoGenEnv
from discoenv.exams.host import Host
from discoenv.exams.spec import Progress
from discoenv.machine.cores import Cores
from discoenv.sandbox.base import Command, Limits, Running, Sandbox
from discoenv.tasks.task import Task
from discoenv.vector import DiscoGenVectorEnv, info_of
from tests.conftest import FailingSandbox
from tests.real_domains import base_source, tiny_task

#: What info says of time, place and chance names.
VARYING = {"workspace", "run_directory", "duration_s", "compute_spent_s"}
COSTS = ("seconds", "wall_s", "cpu_s", "joules", "memory", "training_s", "answering_s", "background_s", "energy")


@pytest.fixture
def make_vec(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., DiscoGenVectorEnv]]:
    """Vector environments that are closed after the test."""
    made: list[DiscoGenVectorEnv] = []

    def make(num_envs: int = 3, **arguments: Any) -> DiscoGenVectorEnv:
        settings = {"runs_dir": None, "host": Host(sandbox, exams_at_once=Cores(3, tmp_path / "slots"))} | arguments
        env = gym.make_vec("DiscoGen-v0", num_envs=num_envs, **settings)
        assert isinstance(env, DiscoGenVectorEnv)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


class CountingSandbox(Sandbox):
    """Counts how many commands run at once."""

    name = "counting"

    def __init__(self, inner: Sandbox, together: int) -> None:
        self.inner = inner
        self.now = self.most = 0
        self._lock = threading.Lock()
        #: So that exams that may run at once certainly do.
        self._all_here = threading.Barrier(together)

    @classmethod
    def check(cls) -> Any:
        raise NotImplementedError

    def start(self, command: Command, limits: Limits) -> Running:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self._all_here.wait(60)
        running = self.inner.start(command, limits)
        kill, killed = running.kill, threading.Event()

        def counted_kill() -> Any:
            with self._lock:
                if not killed.is_set():
                    killed.set()
                    self.now -= 1
            return kill()

        running.kill = counted_kill  # type: ignore[method-assign]
        return running


def scores(info: Any) -> Any:
    """What of an info must not depend on when and where exams ran."""
    if isinstance(info, dict):
        return {k: scores(v) for k, v in info.items() if k not in VARYING and not any(c in k for c in COSTS)}
    return [scores(each) for each in info] if isinstance(info, (list, tuple)) else info


def without_seconds(text: str) -> list[str]:
    """The lines of an observation's text, without the last column of tables, which holds seconds."""
    return [line.rsplit("|", 2)[0] if line.startswith("| ") else line for line in text.splitlines()]


def assert_equal_episodes(
    make_vec: Callable[..., DiscoGenVectorEnv], actions: list[list[Any]], seeds: list[int], **arguments: Any
) -> None:
    """Plays ``actions[step][index]`` in a vector environment and one by one."""
    vector = make_vec(len(seeds), **arguments)
    observations, infos = vector.reset(seed=seeds)
    history = [[(*each, 0.0, False, False) for each in vector.split(observations, infos)]]
    for step in actions:
        observations, rewards, terminations, truncations, infos = vector.step(step)
        singles = vector.split(observations, infos)
        history.append([(*singles[i], rewards[i], terminations[i], truncations[i]) for i in range(len(seeds))])
    for index, seed in enumerate(seeds):
        env = DiscoGenEnv(host=vector.host, runs_dir=None, **arguments)
        try:
            transitions: list[Any] = [(*env.reset(seed=seed), 0.0, False, False)]
            for step in actions:
                observation, reward, terminated, truncated, info = env.step(step[index])
                transitions.append((observation, info, reward, terminated, truncated))
        finally:
            env.close()
        for alone, together in zip(transitions, (step[index] for step in history), strict=True):
            assert without_seconds(together[0]["text"]) == without_seconds(alone[0]["text"])
            assert together[0]["files"] == alone[0]["files"]
            for key in ("score", "steps_left"):
                assert together[0][key].tobytes() == alone[0][key].tobytes()
            assert together[2:] == alone[2:]
            assert scores(together[1]) == scores(alone[1])


def write(name: str, text: str, command: str = "run") -> dict[str, Any]:
    return {"edits": [{"path": name, "content": text}], "command": command}


def test_episodes_of_the_toy_domain_are_those_of_single_environments(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task, good: dict[str, str]
) -> None:
    files = list(good.items())
    whole = [write(*files[0]), write(*files[1]), "run"]
    broken = [write("model.py", "raise ValueError"), "run", '{"command": "run"}']
    actions: list[list[Any]] = [[a, b, "run"] for a, b in zip(whole, broken, strict=True)]
    assert_equal_episodes(make_vec, [*actions, ["submit"] * 3], [5, 6, 5], task=task, max_steps=6)


def test_sampled_tasks_are_those_of_single_environments(make_vec: Callable[..., DiscoGenVectorEnv], toy: Any) -> None:
    assert_equal_episodes(
        make_vec, [["run"] * 3], [0, 1, 2], domain="Toy", scale="tiny", sampling={"p_edit": 0.5, "p_base": 1.0}
    )


def test_episodes_of_a_real_domain_are_those_of_single_environments(make_vec: Callable[..., DiscoGenVectorEnv]) -> None:
    domain = "GreenhouseGasPrediction"
    base = write("model.py", base_source(domain, "model"))
    actions: list[list[Any]] = [[base, {"command": "run"}], ["submit", "submit"]]
    assert_equal_episodes(make_vec, actions, [1, 2], task=tiny_task(domain), max_steps=3)


def test_observations_and_infos_are_batched_as_gymnasium_does(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task
) -> None:
    env = make_vec(2, task=task, max_steps=4)
    observations, infos = env.reset(seed=0)
    assert env.observation_space.contains(observations)
    assert env.single_observation_space.contains(env.split(observations, infos)[1][0])
    assert observations["steps_left"].tolist() == [4, 4]
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert env.spec is not None and env.spec.id == "DiscoGen-v0"
    batch = env.action_space.sample()
    observations, rewards, terminations, truncations, infos = env.step(batch)
    assert rewards.dtype == np.float64 and terminations.dtype == truncations.dtype == np.bool_
    observations, *_, infos = env.step([{"command": "edit"}, {"command": "nonsense"}])
    assert infos["_refused"].tolist() == [False, True]
    assert "nonsense" in infos["refused"][1]
    assert "refused" not in info_of(infos, 0)


def test_infos_of_different_types_stay_what_they_are(make_vec: Callable[..., DiscoGenVectorEnv], task: Task) -> None:
    env = make_vec(4, task=task)
    given: list[dict[str, Any]] = [
        {"n": 1, "d": {"a": 1.5, "b": None}, "x": np.zeros(2), "_own": 3},
        {"n": 2.5, "d": None, "x": np.zeros(3)},
        {"n": None, "d": {"a": "text"}, "flag": True},
        {"n": 2**70, "d": {}},
    ]
    batch: dict[str, Any] = {}
    for index, info in enumerate(given):
        batch = env._add_info(batch, info, index)
    for index, info in enumerate(given):
        back = info_of(batch, index)
        assert str(back) == str(info)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_new_episode_starts_as_the_mode_says(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task, good: dict[str, str], mode: AutoresetMode
) -> None:
    env = make_vec(2, task=task, max_steps=3, autoreset_mode=mode.value)
    env.reset(seed=0)
    submit = {"edits": [{"path": k, "content": v} for k, v in good.items()], "command": "submit"}
    observations, rewards, terminations, _, infos = env.step(["edit", submit])
    assert terminations.tolist() == [False, True]
    assert rewards[0] == 0 and rewards[1] > 1
    if mode is AutoresetMode.SAME_STEP:
        assert observations["steps_left"].tolist() == [2, 3]
        assert infos["final_obs"][1]["steps_left"] == 2
        assert info_of(infos["final_info"], 1)["meta_test"]["Wave"]["outcome"] == pytest.approx(rewards[1])
        return
    assert observations["steps_left"].tolist() == [2, 2]
    if mode is AutoresetMode.DISABLED:
        with pytest.raises(gym.error.ResetNeeded, match="sub-environments 1 are over"):
            env.step(["edit", "edit"])
        observations, infos = env.reset(options={"reset_mask": np.array([False, True])})
        assert infos["_task_id"].tolist() == [False, True]
        assert observations["steps_left"].tolist() == [2, 3]
    else:
        observations, rewards, terminations, _, infos = env.step(["edit", "an action that is ignored"])
        assert observations["steps_left"].tolist() == [1, 3]
        assert rewards.tolist() == [0, 0] and not terminations.any()
        assert "refused" not in infos


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_an_exception_in_one_does_not_harm_the_others(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task, good: dict[str, str], mode: AutoresetMode
) -> None:
    env = make_vec(3, task=task, max_steps=5, autoreset_mode=mode)
    env.reset(seed=[4, 5, 4])
    run = {"edits": [{"path": k, "content": v} for k, v in good.items()], "command": "run"}

    def broken(action: Any) -> Any:
        raise RuntimeError("a bug of ours")

    env.envs[1].step = broken  # type: ignore[method-assign]
    observations, rewards, terminations, truncations, infos = env.step([run] * 3)
    assert truncations.tolist() == [False, True, False] and not terminations.any()
    assert observations["score"][0] == observations["score"][2] > 1
    assert infos["infra_error"][1] == "RuntimeError: a bug of ours"
    assert "in broken" in infos["traceback"][1]
    assert "a bug of ours" in observations["text"][1]
    assert rewards.tolist() == [0, 0, 0]
    del env.envs[1].step
    if mode is AutoresetMode.DISABLED:
        observations, infos = env.reset(options={"reset_mask": np.array([False, True, False])})
    else:
        observations, _, _, truncations, infos = env.step(["edit"] * 3)
        assert not truncations.any()
    assert observations["steps_left"][1] == 5
    assert "infra_error" not in infos
    observations, *_ = env.step(["edit", run, "edit"])
    assert observations["score"][1] > 1


def test_a_failing_machine_ends_only_the_episode_that_it_hits(
    make_vec: Callable[..., DiscoGenVectorEnv], sandbox: Sandbox, task: Task
) -> None:
    env = make_vec(2, task=task, host=Host(FailingSandbox(sandbox, failures=2), exams_at_once=1))
    env.reset(seed=0)
    _, _, _, truncations, infos = env.step(["run", "run"])
    assert sorted(truncations.tolist()) == [False, True]
    assert infos["_infra_error"].tolist() == truncations.tolist()
    assert infos["_score"].tolist() == (~truncations).tolist()


def test_a_reset_that_fails_again_and_again_is_reported_each_time(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_vec(2, task=task, max_steps=9)
    env.reset(seed=0)

    def no_space(**_: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr(env.envs[0], "step", lambda action: no_space())
    monkeypatch.setattr(env.envs[0], "reset", no_space)
    for _ in range(3):
        observations, _, _, truncations, infos = env.step(["edit", "edit"])
        assert truncations.tolist() == [True, False]
        assert "no space left" in infos["infra_error"][0]
    assert observations["steps_left"][1] == 6


def test_a_reset_that_cannot_be_made_is_raised_and_the_others_are_made(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task
) -> None:
    env = make_vec(2, task=task)
    with pytest.raises(Exception, match="nowhere") as error:
        env.reset(options={"task": [task, "nowhere.yaml"]})
    assert "sub-environment 1 of 2" in "".join(error.value.__notes__)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(["edit", "edit"])
    env.reset(options={"task": [task, task.model_copy(update={"modules": ("model",)})]})
    observations, *_ = env.step(["edit", "edit"])
    assert [sorted(files) for files in observations["files"]] == [["features.py", "model.py"], ["model.py"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": [1]}, "1 seeds for 2"),
        ({"options": {"reset_mask": [True]}}, "reset_mask"),
        ({"options": {"reset_mask": np.zeros(2, dtype=bool)}}, "reset_mask"),
        ({"options": {"task": ["a", "b", "c"]}}, "3 tasks for 2"),
        ({"options": {"restore": ["a"]}}, "1 saved episodes for 2"),
    ],
)
def test_seeds_and_options_that_do_not_fit_are_errors(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_vec(2, task=task).reset(**arguments)


def test_saved_episodes_go_on_side_by_side(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task, tmp_path: Path
) -> None:
    env = make_vec(2, task=task)
    env.reset(seed=4)
    env.step(["edit", "edit"])
    saved = [single.save(tmp_path / str(index)) for index, single in enumerate(env.envs)]
    rewards = env.step(["submit", "submit"])[1]
    other = make_vec(2, task=task)
    observations, _ = other.reset(options={"restore": saved})
    assert observations["steps_left"].tolist() == [9, 9]
    assert other.step(["submit", "submit"])[1].tolist() == rewards.tolist()
    observations, _ = other.reset(options={"restore": saved[0], "reset_mask": np.array([True, False])})
    assert observations["steps_left"].tolist() == [9, 8]


@pytest.mark.parametrize("actions", [["run"], "run", {"command": "run"}, 3])
def test_a_wrong_number_of_actions_is_an_error(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task, actions: Any
) -> None:
    env = make_vec(2, task=task)
    env.reset(seed=0)
    with pytest.raises((TypeError, ValueError), match="actions"):
        env.step(actions)


def test_an_integer_seed_counts_up_and_none_is_random(make_vec: Callable[..., DiscoGenVectorEnv], task: Task) -> None:
    env = make_vec(3, task=task)
    env.reset(seed=7)
    assert list(env.np_random_seed) == [7, 8, 9]
    env.reset(seed=[1, None, 1])
    first, second, third = env.np_random_seed
    assert first == third != second


@pytest.mark.parametrize("slots", [1, 2])
def test_no_more_exams_run_at_once_than_there_are_slots(
    make_vec: Callable[..., DiscoGenVectorEnv], sandbox: Sandbox, task: Task, tmp_path: Path, slots: int
) -> None:
    counting = CountingSandbox(sandbox, together=slots)
    env = make_vec(4, task=task, host=Host(counting, exams_at_once=Cores(slots, tmp_path / "slots")))
    env.reset(seed=0)
    _, _, _, truncations, _ = env.step(["run"] * 4)
    assert not truncations.any()
    assert (counting.most, counting.now) == (slots, 0)


def test_exams_whose_costs_are_compared_run_alone(
    make_vec: Callable[..., DiscoGenVectorEnv], sandbox: Sandbox, task: Task
) -> None:
    counting = CountingSandbox(sandbox, together=1)
    host = Host(counting, exams_at_once=3)
    env = make_vec(3, task=task.model_copy(update={"objective": "time", "start": "base"}), host=host)
    env.reset(seed=0)
    _, _, _, truncations, _ = env.step(["run"] * 3)
    assert not truncations.any()
    assert counting.most == 1


def test_progress_names_the_episode_that_it_is_of(make_vec: Callable[..., DiscoGenVectorEnv], task: Task) -> None:
    seen: list[tuple[int, bool]] = []

    def on_progress(index: int, progress: Progress) -> None:
        seen.append((index, progress.result is None))

    env = make_vec(3, task=task, on_progress=on_progress)
    env.reset(seed=0)
    env.step(["run"] * 3)
    assert sorted(seen) == [(index, begins) for index in range(3) for begins in (False, True)]


def test_closing_in_the_middle_of_a_step_ends_it(
    make_vec: Callable[..., DiscoGenVectorEnv], task: Task, good: dict[str, str], sandbox: Sandbox
) -> None:
    started = threading.Event()
    env = make_vec(3, task=task, on_progress=lambda index, progress: started.set(), host=Host(sandbox, exams_at_once=1))
    env.reset(seed=0)
    endless = write("model.py", "while True:\n    pass\n")
    stepping = threading.Thread(target=lambda: env.step([endless] * 3), daemon=True)
    stepping.start()
    assert started.wait(60)
    env.close()
    stepping.join(60)
    assert not stepping.is_alive()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("discoenv-vector")]
