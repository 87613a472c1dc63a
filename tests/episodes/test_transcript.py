"""Calls of language models survive a crash of their writer, and damage to their record."""

from __future__ import annotations

from pathlib import Path

from discoenv.episodes.transcript import FILE_NAME, CallRecorder, read_calls

HELLO = {"role": "user", "content": "hello"}
REPLY = {"role": "assistant", "content": "good day"}


def test_a_damaged_line_loses_its_own_messages_and_no_others(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path)
    recorder.model_call([HELLO], REPLY, {})
    recorder.model_call([HELLO, REPLY, {"role": "user", "content": "how are you?"}], REPLY, {})
    path = tmp_path / FILE_NAME
    first, second = path.read_text().splitlines()
    path.write_text(f"{first[:-9]}\n{second}\n")
    (call,) = read_calls(tmp_path)
    assert call["messages"] == [None, None, {"role": "user", "content": "how are you?"}]
    assert call["reply"] is None


def test_a_recorder_goes_on_behind_a_torn_line_with_new_numbers(tmp_path: Path) -> None:
    CallRecorder(tmp_path).model_call([HELLO], REPLY, {})
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text().replace('"0":', '"7":').replace('"messages": [0]', '"messages": [7]') + '{"event"')
    CallRecorder(tmp_path).model_call([HELLO, {"role": "user", "content": "again"}], REPLY, {})
    first, second = read_calls(tmp_path)
    assert first["messages"] == [HELLO]
    assert (second["call"], second["messages"]) == (2, [HELLO, {"role": "user", "content": "again"}])
    assert second["reply"] == REPLY
