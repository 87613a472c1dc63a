"""The reader of LibriBrain, on small files of the same form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.BrainSpeechDetection import libribrain
from discoenv.domains.BrainSpeechDetection.examiner import BrainSpeechDetectionExaminer
from discoenv.exams.examiner import OwnCode
from discoenv.tasks.domain import Domain
from discoenv.testing import InProcessLearner, handed_over

h5py: Any = pytest.importorskip("h5py", exc_type=ImportError)

BOOK = "Sherlock6"
#: Seconds of a session, and of its first annotated event.
SECONDS, FIRST = 24, 1.2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All sessions of a book, 24 s each."""
    monkeypatch.setenv(libribrain.FOLDER_VARIABLE, str(tmp_path))
    for part in libribrain.runs(BOOK).values():
        for run in part:
            write_run(tmp_path, BOOK, run)
    return tmp_path


def write_run(root: Path, book: str, run: tuple[int, int], seconds: int = SECONDS) -> None:
    """A session whose signals say in sensor 18 whether there is speech."""
    generator = np.random.default_rng(run[0])
    signals_path, events_path = libribrain.paths(book, run, root)
    for path in (signals_path, events_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    samples = seconds * libribrain.RATE
    lines, now, speech = ["idx\tkind\tsegment\ttimemeg\tduration"], FIRST, np.zeros(samples)
    while now < seconds:
        word, pause = generator.uniform(0.5, 3.0), generator.uniform(0.2, 1.0)
        lines.append(f"{len(lines)}\tword\tholmes\t{now}\t{word}")
        lines.append(f"{len(lines)}\tsilence\t\t{now + word}\t{pause}")
        speech[round(now * libribrain.RATE) : round((now + word) * libribrain.RATE)] = 1.0
        now += word + pause
    events_path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    signals = 1e-13 * generator.normal(size=(306, samples))
    signals[18] += 1e-12 * speech
    with h5py.File(signals_path, "w") as file:
        file.create_dataset("data", data=signals.astype(np.float32))
        file.create_dataset("times", data=np.arange(samples) / libribrain.RATE)
        file.attrs["sample_frequency"] = float(libribrain.RATE)


def test_sessions_are_split_as_in_discogen() -> None:
    held_out = {"Sherlock1": 4, "Sherlock2": 6, "Sherlock3": 10, "Sherlock4": 6, "Sherlock5": 7, "Sherlock6": 3}
    counts = {"Sherlock1": 12, "Sherlock2": 12, "Sherlock3": 12, "Sherlock4": 11, "Sherlock5": 15, "Sherlock6": 14}
    for book, session in (held_out | {"Sherlock7": 8}).items():
        parts = libribrain.runs(book)
        assert parts["test"] == [(session, 1)]
        numbers = [number for part in parts.values() for number, _ in part]
        assert len(numbers) == len(set(numbers)) == (counts | {"Sherlock7": 14})[book]
        assert len(parts["validation"]) == 1
    assert {run for number, run in libribrain.runs("Sherlock1")["train"] if number >= 11} == {2}
    assert 8 not in [number for number, _ in libribrain.runs("Sherlock4")["train"]]


def test_windows_are_cut_one_after_another_and_labelled_by_their_middle(folder: Path) -> None:
    windows, labels, sessions = libribrain.read(BOOK, [(1, 1), (2, 1)])
    assert windows.shape == (60, 23, 200)
    assert windows.dtype == np.float16
    assert sessions.tolist() == [1] * 30 + [2] * 30
    first = windows[:, libribrain.SENSORS.index(18)]
    clean = np.abs(first[:, 100].astype(float) - 0.5) > 0.2  # pT
    np.testing.assert_array_equal((first[:, 100] > 0.5)[clean], labels[clean] == 1)
    assert clean.mean() > 0.95
    assert 0.55 < labels.mean() < 0.95
    assert windows.astype(float)[:, 1].std() == pytest.approx(0.1, rel=0.05)
    later, _, _ = libribrain.read(BOOK, [(1, 1)], start=50)
    np.testing.assert_array_equal(later[0, :, :150], windows[0, :, 50:])


def test_labels_are_those_of_pnpl(folder: Path) -> None:
    _, events = libribrain.paths(BOOK, (1, 1), folder)
    labels = libribrain.speech_labels(events, SECONDS * libribrain.RATE)
    expected = np.ones(SECONDS * libribrain.RATE, int)
    expected[: round(FIRST * libribrain.RATE)] = 0
    for line in events.read_text().splitlines()[1:]:
        _, kind, _, begin, duration = line.split("\t")
        if kind == "silence":
            expected[round(float(begin) * 250) : round((float(begin) + float(duration)) * 250)] = 0
    np.testing.assert_array_equal(labels, expected)


def test_an_exam_trains_on_some_sessions_and_holds_out_another(folder: Path, domain: Domain, code: Any) -> None:
    import torch

    config = {**domain.config("LibriBrainSherlock6", "small"), "WINDOWS": 20, "EPOCHS": 1}
    exam_ = BrainSpeechDetectionExaminer("LibriBrainSherlock6", "small", config)
    data = exam_.training_data(1)
    assert set(data["train_sessions"].tolist()) == set(range(1, 15)) - {2, 3}
    assert set(data["validation_sessions"].tolist()) == {2}
    one, other = (exam_.windows(seed, "test") for seed in (1, 2))
    assert set(one[2].tolist()) == {3}
    assert len(one[1]) == 20
    assert not {window.tobytes() for window in one[0]} & {window.tobytes() for window in other[0]}
    state = code.main.train(config, data, torch.device("cpu"), 1)
    found = exam_.examine(OwnCode(code.answer, config, handed_over(state)), 1)
    assert 0.0 < found["macro_f1"] < 1.0
    assert set(exam_.artifacts) == {"probabilities", "labels", "threshold"}

    class Detector:
        """Looks at sensor 18, in the middle of the window."""

        @staticmethod
        def probabilities(windows: Any) -> Any:
            return np.clip(windows[:, 0, 98:103].mean(axis=1), 0.0, 1.0)

    knowing = InProcessLearner(Detector, state={"model": {"w": np.zeros(1)}, "preprocess": {}, "threshold": 0.5})
    assert exam_.examine(knowing, 1)["auroc"] > 0.9


def test_errors_say_what_is_missing_and_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(libribrain.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"CC BY-NC 4\.0.*BrainSpeechDetection\.libribrain Sherlock1"):
        libribrain.read("Sherlock1", [(4, 1)])
    write_run(tmp_path, "Sherlock1", (4, 1), seconds=3)
    signals, events = libribrain.paths("Sherlock1", (4, 1), tmp_path)
    events.write_text("kind\tonset\nword\t1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not a table of events"):
        libribrain.read("Sherlock1", [(4, 1)])
    with h5py.File(signals, "r+") as file:
        file.attrs["sample_frequency"] = 1000.0
    with pytest.raises(ValueError, match=r"at 1000 Hz; expected \[306, T\] at 250 Hz"):
        libribrain.read("Sherlock1", [(4, 1)])


def test_downloads_need_pnpl(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pnpl", None)
    monkeypatch.setitem(sys.modules, "pnpl.datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'discoenv\[libribrain\]'"):
        libribrain.download("Sherlock1")
