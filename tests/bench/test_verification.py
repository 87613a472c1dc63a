"""A benchmark commits itself to a secret: it is kept outside of its folder, published in the end, and checked then."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discoenv.bench import verification
from discoenv.bench.agents import parse_agents
from discoenv.bench.benchmark import Benchmark
from discoenv.bench.playing import play_cell
from discoenv.episodes.record import EpisodeRecord
from discoenv.errors import BenchError, Inconclusive, SecretError
from discoenv.exams import secrets
from discoenv.machine import user_state
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import registry
from discoenv.tasks.registry import load_pack
from discoenv.tasks.task import Task
from tests.bench.conftest import SECRET, TASKS, MakeBenchmark
from tests.cli.commands import fails, invoke
from tests.conftest import TOY

MakePlayed = Callable[..., Benchmark]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Path:
    """Folder of a benchmark of two agents and two tasks, all cells done, and a state folder with its secret."""
    root = tmp_path_factory.mktemp("played")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setenv("XDG_STATE_HOME", str(root / "state"))
        patch.setattr(registry, "_registered", dict(registry._registered))
        load_pack(TOY)
        benchmark = MakeBenchmark(root, sandbox.name)("baseline", "tests.bench.players:leaving", tasks=2)
        assert benchmark.run(workers=0).states == {"done": 4}
    return root


@pytest.fixture
def played(toy_pack: Path, original: Path, tmp_path: Path) -> Benchmark:
    """A copy of that benchmark, with its secret in this test's state folder."""
    shutil.copytree(original / "bench", tmp_path / "bench")
    shutil.copytree(original / "state", tmp_path / "state")
    return Benchmark(tmp_path / "bench")


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a JSON file."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def result_of(benchmark: Benchmark, name: str = "0/0") -> Path:
    return benchmark.directory / "cells" / name / "result.json"


def record_of(benchmark: Benchmark, name: str = "0/0") -> Path:
    """The run directory of a cell."""
    return benchmark.directory / str(json.loads(result_of(benchmark, name).read_text())["record"])


# ---- commitment


def test_the_folder_holds_the_commitment_and_the_users_state_the_secret(played: Benchmark) -> None:
    assert played.commitment == hashlib.sha256(SECRET.key).hexdigest()
    kept = user_state.folder() / "secrets" / played.commitment
    assert kept.read_text() == SECRET.key.hex() + "\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    files = [path for path in played.directory.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        data = path.read_bytes()
        assert SECRET.key.hex().encode() not in data
        assert SECRET.key not in data
    runs = [EpisodeRecord.load(path.parent) for path in played.directory.rglob("episode.json")]
    assert {run.setup.secret for run in runs} == {played.commitment}


def test_each_benchmark_has_a_secret_of_its_own_which_continuing_uses_again(toy_pack: Path, tmp_path: Path) -> None:
    def create(name: str, **others: Any) -> Benchmark:
        task = [Task.parse(TASKS[0])]
        return Benchmark.create(tmp_path / name, agents=parse_agents(["unchanged"]), tasks=task, seeds=[0], **others)

    one, two = create("one"), create("two")
    assert one.commitment != two.commitment
    assert create("one").commitment == Benchmark(tmp_path / "one").commitment == one.commitment
    secret = secrets.committed(one.commitment)
    assert create("one", secret=secret).commitment == one.commitment
    with pytest.raises(BenchError, match="is a benchmark with another secret"):
        create("two", secret=secret)


def test_the_report_and_the_command_show_the_commitment(played: Benchmark) -> None:
    assert invoke("bench", "report", played.directory).exit_code == 0
    assert f"| SHA-256 of the secret | {played.commitment} |" in (played.directory / "report/report.md").read_text()
    resumed = invoke("bench", "resume", played.directory)
    assert resumed.exit_code == 0
    assert f"SHA-256 of its secret: {played.commitment}" in resumed.output


def test_without_its_secret_a_benchmark_does_not_go_on_and_no_agent_fails(
    played: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(SecretError, match=r"is not on this machine: .*elsewhere.* does not exist"):
        played.run()
    with pytest.raises(Inconclusive, match="is not on this machine"):
        play_cell({"agent": "unchanged", "task": TASKS[0], "secret": played.commitment}, 0, "cpu", tmp_path / "cell")
    monkeypatch.setenv(secrets.VARIABLE, str(tmp_path / "other"))
    secrets.write(tmp_path / "other", secrets.new())
    with pytest.raises(SecretError, match="is not on this machine"):
        played.run()
    monkeypatch.setenv(secrets.VARIABLE, str(tmp_path / "same"))
    secrets.write(tmp_path / "same", SECRET)
    assert played.run().states == {"done": 4}


def test_a_commitment_is_no_path_and_a_kept_file_holds_its_own_secret(played: Benchmark) -> None:
    for wrong in ("../../etc/passwd", "ab", "A" * 64, ""):
        with pytest.raises(SecretError, match="is not the SHA-256 of a secret"):
            secrets.kept_at(wrong)
    kept = secrets.found_at(played.commitment)
    kept.write_text(bytes(secrets.SIZE).hex())
    with pytest.raises(SecretError, match="this is another secret"):
        secrets.committed(played.commitment)


# ---- verify


def test_a_published_secret_repeats_every_score(
    played: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "published"
    shown = invoke("bench", "reveal", played.directory, "--out", published)
    assert shown.exit_code == 0, shown.output
    assert f"discoenv bench verify {played.directory} --secret {published}" in shown.stdout
    assert stat.S_IMODE(published.stat().st_mode) & stat.S_IROTH
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another-machine"))
    monkeypatch.setenv("COLUMNS", "160")
    done = invoke("bench", "verify", played.directory, "--secret", published, "--cells", "9", "--trust")
    assert done.exit_code == 0, done.output
    assert f"SHA-256 of the secret: {played.commitment}, as the benchmark says." in done.stdout
    assert "4 cells, 8 scores, 0 differ; largest difference 0." in done.stdout
    assert done.stdout.count("equal") == 8
    assert done.stdout.count("Wave") == done.stdout.count("reward") == 4


def test_a_score_that_is_not_repeated_differs(played: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    change(result_of(played), lambda content: content["meta_test"]["Wave"].update(metric=0.99))
    change(played.directory / "bench.json", lambda content: content["versions"].update(numpy="0.1"))
    change(result_of(played, "3/0"), lambda content: content["meta_test"].clear())
    done = invoke("bench", "verify", played.directory, "--cells", "9", "--trust")
    assert done.exit_code == 1
    assert done.stdout.count("differs") == 2
    assert "8 scores, 2 differ; largest difference inf." in done.stdout
    assert "another version: numpy 0.1, here " in done.stderr


def test_other_modules_than_those_that_were_submitted_differ(played: Benchmark) -> None:
    record = record_of(played)
    last = sorted((record / "files").iterdir())[-1]
    better = last / "features.py"
    better.write_text(better.read_text().replace("[np.ones_like(x), x]", "[np.ones_like(x), x, x**2]"))
    first = [cell for cell in played.cells() if cell.number == 0]
    compared = verification.verify(played, SECRET, first, trust=True)
    assert [each.what for each in compared] == ["Wave", "reward"]
    assert not any(each.equal for each in compared)
    assert all(each.difference > 0 for each in compared)


def test_a_sample_is_of_cells_that_are_done(played: Benchmark) -> None:
    change(played.directory / "cells/1/0/status.json", lambda content: content.update(state="failed"))
    assert [cell.number for cell in verification.sample(played, 9)] == [0, 2, 3]
    samples = {verification.sample(played, 1)[0].number for _ in range(100)}
    assert samples == {0, 2, 3}
    for cell in played.cells():
        (cell.folder / "status.json").unlink()
    with pytest.raises(BenchError, match="no cell is done, so there is no score to verify"):
        verification.sample(played, 1)


def test_packs_and_a_sandbox_that_does_not_isolate_need_trust(
    played: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fails(capsys, "bench", "verify", played.directory)
    assert "names packs of domains, whose code would be run" in message
    assert "give --trust" in message
    change(played.directory / "bench.json", lambda content: content["environment"].update(sandbox="process", packs=[]))
    message = fails(capsys, "bench", "verify", played.directory)
    assert "the sandbox 'process', which does not isolate" in message


# ---- what is wrong with a secret, or a folder


def test_a_wrong_or_missing_secret_is_an_error(
    played: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, empty = tmp_path / "wrong", tmp_path / "empty"
    secrets.write(wrong, secrets.new())
    empty.touch()
    verify = ("bench", "verify", played.directory)
    message = fails(capsys, *verify, "--secret", wrong)
    assert f"{wrong} is not the secret of {played.directory}: its SHA-256 is " in message
    assert f"the benchmark committed itself to {played.commitment}" in message
    assert "a secret has 32 bytes, not 0" in fails(capsys, *verify, "--secret", empty)
    assert "no secret can be read there" in fails(capsys, *verify, "--secret", tmp_path / "nowhere")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    assert "is not on this machine" in fails(capsys, *verify)
    assert "is not on this machine" in fails(capsys, "bench", "reveal", played.directory)


def test_a_benchmark_of_the_older_protocol_has_nothing_to_verify(
    played: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    change(played.directory / "bench.json", lambda content: content.pop("secret"))
    for command in ("verify", "reveal", "resume"):
        assert "is of the older protocol, whose exams had public seeds" in fails(
            capsys, "bench", command, played.directory
        )
    assert invoke("bench", "status", played.directory).exit_code == 0
    assert invoke("bench", "report", played.directory).exit_code == 0
    assert "none: exam seeds were public" in (played.directory / "report/report.md").read_text()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda each: (each.directory / "bench.json").unlink(), "bench.json is missing"),
        (lambda each: (each.directory / "bench.json").write_text("{"), "bench.json: Expecting"),
        (lambda each: result_of(each).write_text("[]"), "this is not the result of a cell"),
        (lambda each: shutil.rmtree(record_of(each)), "0/0: the record of its episode cannot be read"),
        (lambda each: shutil.rmtree(record_of(each) / "files"), "0/0: the record of its episode cannot be read"),
        (lambda each: (record_of(each) / "episode.json").write_text("{"), "cannot be read: .* not valid JSON"),
        (
            lambda each: change(result_of(each), lambda content: content.update(record="../../elsewhere")),
            "is not in the benchmark's folder",
        ),
        (lambda each: change(result_of(each), lambda content: content.update(task="Toy-1")), "another version"),
        (
            lambda each: change(record_of(each) / "episode.json", lambda content: content.update(episode_seed=1)),
            "its record is of another cell: the episode's seed is 1, not",
        ),
        (
            lambda each: change(record_of(each) / "episode.json", lambda content: content.update(secret="0" * 64)),
            "its record is of another cell: the secret's SHA-256 is 0000",
        ),
        (
            lambda each: (sorted((record_of(each) / "files").iterdir())[-1] / "numpy.py").touch(),
            "its record is of another cell: the list of modules is",
        ),
    ],
)
def test_a_damaged_folder_is_an_error(played: Benchmark, damage: Callable[[Benchmark], object], message: str) -> None:
    damage(played)
    with pytest.raises(BenchError, match=message):
        again = Benchmark(played.directory)
        verification.verify(again, SECRET, again.cells()[:1], trust=True)


# ---- reveal


def test_reveal_shows_the_file_and_publishes_nothing_too_early(
    played: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = invoke("bench", "reveal", played.directory)
    assert Path(shown.stdout.strip()) == user_state.folder() / "secrets" / played.commitment
    (played.directory / "cells/0/0/status.json").unlink()
    published = tmp_path / "published"
    message = fails(capsys, "bench", "reveal", played.directory, "--out", published)
    assert "1 of 4 cells are not done, and their exams would be known" in message
    assert not published.exists()
    assert invoke("bench", "reveal", played.directory, "--out", published, "--unfinished").exit_code == 0
    assert secrets.read(published, published=True) == SECRET
    assert "cannot be written" in fails(
        capsys, "bench", "reveal", played.directory, "--out", tmp_path / "no" / "file", "--unfinished"
    )
