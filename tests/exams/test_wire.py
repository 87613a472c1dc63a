"""The wire format loses nothing, and its reader survives whatever a learner sends."""

from __future__ import annotations

import json
import math
import random
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from discoenv.exams.wire import (
    DTYPES,
    AnswerTooLate,
    Channel,
    ExamEnded,
    FrameLimits,
    LearnerGone,
    ProtocolError,
    decode,
)
from discoenv.kits.exam.messages import LENGTHS, pack, unpack

Array = np.ndarray[Any, Any]


def parts(frame: bytes) -> tuple[bytes, bytes]:
    """Header and body of one whole frame."""
    header, body = LENGTHS.unpack(frame[: LENGTHS.size])
    text, arrays = frame[LENGTHS.size :][:header], frame[LENGTHS.size + header :]
    assert len(text) == header
    assert len(arrays) == body
    return text, arrays


def framed(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


def now() -> float:
    return time.monotonic()


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    """The examiner's channel, and the learner's end of it."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours, FrameLimits(header_bytes=1 << 16, body_bytes=1 << 20))
    with ours, theirs:
        yield channel, theirs


# ---- round trips

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()), max_size=8)
)
DTYPE = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)
ARRAYS = npst.arrays(DTYPE, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)).flatmap(
    lambda array: st.sampled_from([array, np.asfortranarray(array), array[..., ::-1] if array.ndim else array])
)
TREES = st.recursive(
    LEAVES | ARRAYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def assert_same(sent: Any, got: Any) -> None:
    if isinstance(sent, np.ndarray):
        assert isinstance(got, np.ndarray)
        assert got.shape == sent.shape
        assert (got.dtype.kind, got.dtype.itemsize) == (sent.dtype.kind, sent.dtype.itemsize)
        assert got.dtype.byteorder in "=<|"
        np.testing.assert_array_equal(got, sent)
    elif isinstance(sent, dict):
        assert isinstance(got, dict)
        assert sent.keys() == got.keys()
        for key in sent:
            assert_same(sent[key], got[key])
    elif isinstance(sent, (list, tuple)):
        assert isinstance(got, list)
        assert len(sent) == len(got)
        for one, other in zip(sent, got, strict=True):
            assert_same(one, other)
    else:
        assert type(got) is type(sent)
        assert got == sent


@given(TREES)
@settings(max_examples=400, deadline=None)
def test_what_is_packed_is_decoded_to_the_same_tree(tree: Any) -> None:
    text, body = parts(pack(tree))
    assert_same(tree, decode(text, body))
    assert_same(tree, unpack(text, body))


def test_scalars_of_numpy_and_tuples_are_sent_as_what_they_mean() -> None:
    got = decode(*parts(pack({"a": np.float64(1.5), "b": np.int32(3), "c": np.bool_(True), "d": (1, 2), 5: None})))
    assert got["a"] == 1.5
    assert isinstance(got["a"], float)
    assert (got["b"].shape, got["b"].dtype, int(got["b"])) == ((), np.dtype("<i4"), 3)
    assert bool(got["c"]) is True
    assert got["d"] == [1, 2]
    assert got["5"] is None


def test_dtypes_that_numpy_does_not_know_become_float32() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn, np.longdouble):
        got = decode(*parts(pack(np.array([1.5, -2.0], dtype=dtype))))
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, [1.5, -2.0])


def test_not_a_number_and_infinities_survive() -> None:
    got = decode(*parts(pack([math.nan, math.inf, -math.inf, np.array([math.nan, math.inf])])))
    assert math.isnan(got[0])
    assert got[1:3] == [math.inf, -math.inf]
    np.testing.assert_array_equal(got[3], [math.nan, math.inf])


def test_what_has_no_wire_form_is_refused_by_the_sender() -> None:
    for value in (object(), {1, 2}, np.array(["a"]), [np.array([object()])]):
        with pytest.raises((TypeError, ValueError)):
            pack(value)


def test_decoded_arrays_cannot_be_written_by_the_examiner() -> None:
    array = decode(*parts(pack(np.zeros(3))))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_channel_carries_messages_both_ways(pair: tuple[Channel, socket.socket]) -> None:
    channel, learner = pair
    channel.send({"call": "predict", "args": [np.arange(5)]}, now() + 60)
    received = learner.recv(1 << 16)
    assert_same({"call": "predict", "args": [np.arange(5)]}, decode(*parts(received)))
    learner.sendall(pack({"answer": np.ones((2, 0))}) + pack({"answer": 1}))
    assert_same({"answer": np.ones((2, 0))}, channel.receive(now() + 60))
    assert channel.receive(now() + 60) == {"answer": 1}


# ---- malformed messages


def header(message: object, *arrays: object) -> bytes:
    return json.dumps({"message": message, "arrays": list(arrays)}).encode()


@pytest.mark.parametrize(
    ("text", "body", "message"),
    [
        (b"", b"", "not JSON"),
        (b"{", b"", "not JSON"),
        (b"\xff\xfe\x00", b"", "not JSON"),
        (b"\x80\x04\x95", b"", "not JSON"),
        (b"[" * 100_000, b"", "not JSON"),
        (b'{"message": ' + b"9" * 5000 + b', "arrays": []}', b"", "not JSON"),
        (b"[]", b"", "header of a message is not"),
        (b'{"message": 1}', b"", "header of a message is not"),
        (b'{"message": 1, "arrays": {}}', b"", "header of a message is not"),
        (b'{"message": 1, "arrays": [], "more": 1}', b"", "header of a message is not"),
        (b'{"message": 1, "arrays": [["<f4", [1]]], "arrays": []}', b"0000", "bytes that belong to no array"),
        (header(0, *[["|u1", [0]]] * 1025), b"", "holds 1025 arrays; the limit is 1024"),
        (header(0, "<f4"), b"", "not announced as"),
        (header(0, ["<f4"]), b"", "not announced as"),
        (header(0, ["<f4", 3]), b"", "not announced as"),
        (header(0, [4, [3]]), b"", "not announced as"),
        (header(0, ["<f4", [1], 0]), b"0000", "not announced as"),
        (header(0, ["|O", [1]]), b"0" * 8, "dtype '|O' is not allowed"),
        (header(0, ["<M8[s]", [1]]), b"0" * 8, "is not allowed"),
        (header(0, [">f4", [1]]), b"0" * 4, "is not allowed"),
        (header(0, ["<f16", [1]]), b"0" * 16, "is not allowed"),
        (header(0, ["<U99999999", [1]]), b"", "is not allowed"),
        (header(0, ["(9999999,)<f8", [1]]), b"", "is not allowed"),
        (header(0, ["<f4", [-1]]), b"", "not a short list of sizes"),
        (header(0, ["<f4", [1.0]]), b"0000", "not a short list of sizes"),
        (header(0, ["<f4", [True]]), b"0000", "not a short list of sizes"),
        (header(0, ["<f4", [None]]), b"", "not a short list of sizes"),
        (header(0, ["<f4", [[1]]]), b"0000", "not a short list of sizes"),
        (header(0, ["<f4", [1] * 17]), b"0000", "not a short list of sizes"),
        (header(0, ["<f4", [1 << 40]]), b"", "not a short list of sizes"),
        (header(0, ["<f4", [10**4000]]), b"", "not a short list of sizes"),
        (header(0, ["<f4", [2]]), b"0000", "announces more array bytes than the 4"),
        (header(0, ["<f8", [2**39, 2**39]]), b"0000", "announces more array bytes"),
        (header(0, ["<f8", [2**32, 2**32]]), b"", "announces more array bytes"),
        (header(0, ["<f8", [2**39] * 16]), b"", "announces more array bytes"),
        (header(0, ["<f4", [0, 2**39, 2**39]]), b"", "shape of an array is impossible"),
        (header(0, ["<f4", [2**39, 0, 2**39]]), b"0000", "shape of an array is impossible"),
        (header(0, ["<f4", [1]]), b"00000", "holds 1 bytes that belong to no array"),
        (header(0), b"0", "holds 1 bytes that belong to no array"),
        (header({"__array__": 0}), b"", "refers to an array that it does not hold"),
        (header({"__array__": 1}, ["|u1", [1]]), b"0", "refers to an array that it does not hold"),
        (header({"__array__": -1}, ["|u1", [1]]), b"0", "refers to an array that it does not hold"),
        (header({"__array__": True}, ["|u1", [1]], ["|u1", [1]]), b"00", "refers to an array that it does not hold"),
        (header({"__array__": 0.0}, ["|u1", [1]]), b"0", "refers to an array that it does not hold"),
        (header({"__array__": [0]}, ["|u1", [1]]), b"0", "refers to an array that it does not hold"),
        (header({"__array__": 0, "x": 1}, ["|u1", [1]]), b"0", "refers to an array that it does not hold"),
        (header([{"a": [{"__array__": 7}]}]), b"", "refers to an array that it does not hold"),
        (header({"__array__": 0}, ["|b1", [4]]), b"\x00\x01\x02\xff", "bytes other than 0 and 1"),
    ],
)
def test_a_malformed_message_is_a_protocol_error_that_says_why(text: bytes, body: bytes, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(text, body)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("depth", [10, 200, 400, 600, 900, 990, 1500])
def test_nesting_is_decoded_or_refused_but_never_an_error_of_ours(depth: int) -> None:
    nested = b'{"message": ' + b"[" * depth + b"]" * depth + b', "arrays": []}'
    try:
        assert isinstance(decode(nested, b""), list)
    except ProtocolError as error:
        assert "nested" in str(error) or "JSON" in str(error)
        assert depth > 200


def test_empty_arrays_of_unusual_shape_are_valid() -> None:
    for shape in ([0], [0, 0], [0, 2**39], [3, 0, 5]):
        assert decode(header({"__array__": 0}, ["<f4", shape]), b"").shape == tuple(shape)


def test_a_message_that_is_not_an_object_is_refused(pair: tuple[Channel, socket.socket]) -> None:
    channel, learner = pair
    learner.sendall(pack([1, 2]))
    with pytest.raises(ProtocolError, match="not a JSON object"):
        channel.receive(now() + 60)


@pytest.mark.parametrize("lengths", [(1 << 16 | 1, 0), (0, 1 << 20 | 1), (2**32 - 1, 2**64 - 1)])
def test_a_gigantic_announcement_is_refused_before_anything_is_read(
    pair: tuple[Channel, socket.socket], lengths: tuple[int, int]
) -> None:
    channel, learner = pair
    learner.sendall(LENGTHS.pack(*lengths))
    with pytest.raises(ProtocolError, match="the limits are 65536 for its header and 1048576 for its arrays"):
        channel.receive(now() + 60)


def test_announced_sizes_are_never_allocated() -> None:
    """Neither those of the frame nor those of its arrays; memory grows with what arrives."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours)
        theirs.sendall(LENGTHS.pack(100, 256 << 20) + header(0, ["<f8", [32 << 20]]).ljust(100) + b"few")
        theirs.shutdown(socket.SHUT_WR)
        tracemalloc.start()
        try:
            with pytest.raises(LearnerGone):
                channel.receive(now() + 60)
            for shape in ([32 << 20], [2**39, 2**39], [0, 2**39], [2**39] * 16):
                with pytest.raises(ProtocolError):
                    decode(header(1, ["<f8", shape], ["<f8", [2**39]]), b"")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 4 << 20


# ---- connections that break, and deadlines


@pytest.mark.parametrize("kept", [0, 1, 4, 11, 12, 13, 30])
def test_half_a_frame_means_that_the_learner_is_gone(pair: tuple[Channel, socket.socket], kept: int) -> None:
    channel, learner = pair
    learner.sendall(pack({"answer": np.ones(100)})[:kept])
    learner.close()
    with pytest.raises(LearnerGone):
        channel.receive(now() + 60)


@pytest.mark.parametrize("kept", [0, 5, 12, 40])
def test_half_a_frame_of_a_silent_learner_ends_at_the_deadline(pair: tuple[Channel, socket.socket], kept: int) -> None:
    channel, learner = pair
    learner.sendall(pack({"answer": np.ones(100)})[:kept])
    with pytest.raises(AnswerTooLate, match="before the learner answered"):
        channel.receive(now() + 0.02)


def test_a_deadline_in_the_past_ends_at_once_even_if_an_answer_waits(pair: tuple[Channel, socket.socket]) -> None:
    channel, learner = pair
    learner.sendall(pack({"answer": 1}))
    with pytest.raises(AnswerTooLate):
        channel.receive(now() - 1)
    with pytest.raises(AnswerTooLate):
        channel.send({}, now() - 1)


def test_dripping_bytes_do_not_move_the_deadline(pair: tuple[Channel, socket.socket]) -> None:
    channel, learner = pair

    def drip() -> None:
        learner.sendall(LENGTHS.pack(1 << 15, 0))
        try:
            while True:
                learner.sendall(b" ")
        except OSError:
            return

    learner.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    channel = Channel(channel._connection, FrameLimits(header_bytes=1 << 31))
    learner_thread = threading.Thread(target=drip)
    learner.sendall(LENGTHS.pack(1 << 31, 0))
    learner_thread.start()
    try:
        with pytest.raises(AnswerTooLate):
            channel.receive(now() + 0.2)
    finally:
        channel.close()
        learner_thread.join()


def test_a_learner_that_does_not_read_ends_at_the_deadline(pair: tuple[Channel, socket.socket]) -> None:
    channel, _ = pair
    with pytest.raises(AnswerTooLate, match="before the learner read a question"):
        channel.send({"args": [np.zeros(1 << 22)]}, now() + 0.05)


def test_a_question_to_a_learner_that_left_says_so(pair: tuple[Channel, socket.socket]) -> None:
    channel, learner = pair
    learner.close()
    with pytest.raises(LearnerGone, match="closed its connection during the exam"):
        channel.send({"args": [np.zeros(1 << 20)]}, now() + 60)


def test_all_ways_to_end_an_exam_are_one_family() -> None:
    assert {error.__base__ for error in (ProtocolError, LearnerGone, AnswerTooLate)} == {ExamEnded}


# ---- fuzzing

NASTY_NUMBERS: list[Any] = [0, 1, -1, 2, 255, 2**31, 2**32 - 1, 2**39, 2**40, 2**63, 2**64, 10**30, 1.5, -0.0, 1e308]
NASTY_VALUES: list[Any] = [None, True, "", "__array__", "\ud800", [], {}, [[]], {"__array__": 0}, {"__array__": 2**70}]


def malformed(rng: random.Random) -> bytes:
    """A frame that is broken in a random way (rarely, by chance, not at all)."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.randrange(80))
    if kind == 1:  # announced lengths that do not fit
        text = header(1)
        return (
            LENGTHS.pack(rng.choice([0, 1, len(text), 2**16, 2**32 - 1]), rng.choice([0, 1, 2**20, 2**64 - 1])) + text
        )
    if kind == 2:  # a header of random JSON
        return framed(random_json(rng, 4), rng.randbytes(rng.choice([0, 0, 8])))
    if kind == 3:  # random announcements of arrays
        entries = [
            [
                rng.choice([*DTYPES, "|O", ">f8", "<f16", 3]),
                [rng.choice(NASTY_NUMBERS) for _ in range(rng.randrange(4))],
            ]
            for _ in range(rng.randrange(3))
        ]
        message = rng.choice([*NASTY_VALUES, {"answer": {"__array__": rng.randrange(3)}}])
        return framed(header(message, *entries), rng.randbytes(rng.choice([0, 1, 8, 64])))
    good = bytearray(pack({"answer": [np.arange(4.0), {"x": np.zeros((2, 3), np.int8)}, "text", 1.5, None]}))
    if kind == 4:  # flipped bits
        for _ in range(rng.randrange(1, 6)):
            good[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        return bytes(good)
    start = rng.randrange(len(good))  # a piece removed, doubled or inserted
    piece = rng.choice([b"", bytes(good[start : start + 9]) * 2, rng.randbytes(3), b"[" * 50, b"9" * 30])
    return bytes(good[:start] + piece + good[start + rng.randrange(12) :])


def random_json(rng: random.Random, depth: int) -> Any:
    choice = rng.randrange(8 if depth else 4)
    if choice < 2:
        return rng.choice(NASTY_VALUES)
    if choice < 4:
        return rng.choice(NASTY_NUMBERS)
    if choice < 6:
        return [random_json(rng, depth - 1) for _ in range(rng.randrange(4))]
    keys = rng.sample(["message", "arrays", "__array__", "answer", "x"], rng.randrange(1, 4))
    return {key: random_json(rng, depth - 1) for key in keys}


def fuzz(count: int, seed: int) -> dict[str, int]:
    """Read ``count`` malformed frames, each on a new connection; returns how often each end was reached."""
    rng = random.Random(seed)
    ends: dict[str, int] = {}
    for _ in range(count):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(malformed(rng))
            theirs.shutdown(socket.SHUT_WR)
            try:
                message = Channel(ours, FrameLimits(1 << 16, 1 << 16)).receive(now() + 60)
                end = "message"
                assert isinstance(message, dict)
            except (ProtocolError, LearnerGone) as error:
                end = type(error).__name__
        ends[end] = ends.get(end, 0) + 1
    return ends


def test_two_thousand_malformed_frames_raise_nothing_but_what_ends_an_exam() -> None:
    ends = fuzz(2000, seed=0)
    assert ends["ProtocolError"] > 600
    assert ends["LearnerGone"] > 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_a_hundred_thousand_malformed_frames_raise_nothing_but_what_ends_an_exam(seed: int) -> None:
    tracemalloc.start()
    try:
        fuzz(10_000, seed)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@given(
    text=st.binary(max_size=60) | st.recursive(LEAVES, st.lists).map(lambda t: json.dumps(t).encode()), body=st.binary()
)
@settings(max_examples=300, deadline=None)
def test_arbitrary_headers_raise_nothing_but_protocol_errors(text: bytes, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(text, body)


def test_lengths_are_as_documented() -> None:
    assert LENGTHS.size == 12
    assert pack(None)[:12] == struct.pack("<IQ", len(b'{"message": null, "arrays": []}'), 0)
