"""Run directories that are damaged, or are none: ``replay``, ``draw`` and ``export`` do what they can."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.cli.main import main
from discoenv.env import DiscoGenEnv
from discoenv.tasks import registry as domains
from discoenv.tasks.domain import Domain
from tests.conftest import TOY
from tests.damaging import changed, holding, linked_to_endless_zeros, replaced_by_a_pipe

TASK = {"domain": "Toy", "modules": ["features"], "meta_train": ["Line"], "meta_test": ["Wave"], "scale": "tiny"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the toy domain."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domains, "BUILTIN", TOY)
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        env = DiscoGenEnv(task={**TASK, "start": "base", "test_seeds": 1}, runs_dir=root / "runs")
        env.reset(seed=0)
        env.step("run")
        env.step("submit")
        env.close()
    assert env.run_directory is not None
    return env.run_directory


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def removed(path: Path) -> None:
    path.unlink()


FILES = ["task.yaml", "episode.json", "episode.jsonl", "result.json", "files/step_000/features.py"]
DAMAGES: list[tuple[str, Callable[[Path], None]]] = [
    *((name, damage) for name in FILES for damage in (
        cut, removed, replaced_by_a_folder, replaced_by_a_pipe, linked_to_endless_zeros,
        holding(b"\xff\xfe\x00"), holding(b"[]"), holding(b"3"), holding(b""),
        holding(b"{" * 100_000), holding(b'{"event": 3, "info": [], "reward": {}, "step": -1}\n[1]\n'),
    )),
    *(("episode.json", changed(**values)) for values in (
        {"episode_seed": -1}, {"episode_seed": "7"}, {"episode_seed": 10**400}, {"budget_scale": -3},
        {"budget_scale": None}, {"sandbox": 3}, {"sandbox": "nowhere"}, {"secret": 3}, {"device": "tpu"},
        {"version": "new"}, {"version": 99}, {"packs": "/nowhere"}, {"reward_fn": 3},
    )),
    *(("result.json", changed(**values)) for values in (
        {"meta_test": {"Wave": 3}}, {"meta_test": [1]}, {"reward": "high"}, {"meta_test": {"Wave": {"exams": 3}}},
    )),
    ("task.yaml", holding(b"domain: Toy\ndomain: Other\n")),
    ("task.yaml", holding(b"domain: Gone\nmodules: [a]\nmeta_train: [b]\nmeta_test: [c]\n")),
    ("task.yaml", holding(b"domain: Toy\nmodules: [features]\nmeta_train: [Line]\nmeta_test: [Gone]\n")),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_a_damaged_run_is_read_as_far_as_it_goes_or_one_message(
    finished: Path, toy: Domain, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    name, damage = DAMAGES[number]
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    damage(run / name)
    for command in (["replay", str(run)], ["draw", str(run)], ["export", str(run), "--html", str(tmp_path / "page")]):
        with pytest.raises(SystemExit) as caught:  # Typer leaves by it where all went well, too
            main(command)
        written = capsys.readouterr()
        assert caught.value.code in (0, 1)
        if caught.value.code:
            assert "error: " in written.err
            assert "Traceback" not in written.err


def test_strange_files_among_the_pictures_data_are_left_out(
    finished: Path, toy: Domain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for name in ("step_x/meta_test/Wave/0.npz", "step_000/0.npz", "step_000/meta_test/Wave/first.npz"):
        (run / "exams" / name).parent.mkdir(parents=True, exist_ok=True)
        (run / "exams" / name).write_bytes(b"no archive")
    with pytest.raises(SystemExit) as caught:
        main(["draw", str(run)])
    assert caught.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/run", "gone", "."])
def test_what_is_no_run_is_one_message(
    toy: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["replay", place], ["draw", place]):
        with pytest.raises(SystemExit) as caught:
            main(command)
        assert caught.value.code == 1
        assert "so this is not a run directory" in capsys.readouterr().err
