"""When a talker speaks, and how loud: phrases of words of syllables, pauses, and sounds that are not speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from discoenv.data.generated.exact import Draws, Floats, Integers, sine

#: Samples per second.
RATE = 100
#: Loudness of a word between its syllables, as a share of their peaks.
_BETWEEN = 0.25
#: Shortest and longest of the usual pauses, and of those that part sections of a book, in seconds.
_PAUSE, _LONG_PAUSE = (0.15, 1.6), (3.0, 8.0)


@dataclass(frozen=True)
class Talker:
    """How somebody reads a book.

    Attributes:
        syllables: per second; listeners follow 4 to 6.
        words: mean number of words in a phrase.
        pause: mean of the usual pauses, seconds.
        long_pauses: share of the pauses that last ``_LONG_PAUSE``.
        sounds: share of the pauses of a second and longer in which music or noise is heard.
    """

    syllables: float = 5.0
    words: float = 6.0
    pause: float = 0.55
    long_pauses: float = 0.04
    sounds: float = 0.3


@dataclass(frozen=True)
class Timeline:
    """What is heard in a session.

    Attributes:
        speech: bool[T], whether a phrase is being spoken, short gaps between its words included.
        envelope: float64[T], loudness of everything that is heard.
        onsets, offsets: int64[N], first sample of each phrase, and first after it.
        pauses: float64[N], seconds of silence before each phrase.
    """

    speech: np.ndarray[Any, np.dtype[np.bool_]]
    envelope: Floats
    onsets: Integers
    offsets: Integers
    pauses: Floats


def timeline(draws: Draws, talker: Talker, samples: int) -> Timeline:
    """A semi-Markov sequence of phrases and pauses, ``samples`` long.

    Words last 0.3 s (log-normal, spread 0.35), usual pauses are gamma-distributed with shape 2. Durations are rounded
    to samples.
    """
    lengths: list[Integers] = []
    heights: list[Floats] = []
    spoken: list[bool] = []
    onsets, offsets, pauses, now = [], [], [], 0

    def add(length: Integers, height: Floats, speech: bool) -> None:
        nonlocal now
        lengths.append(length)
        heights.append(height)
        spoken.extend([speech] * len(length))
        now += int(length.sum())

    while now < samples:
        silence = _pause(draws, talker)
        sound = silence >= RATE and float(draws.uniform(0.0, 1.0)) < talker.sounds
        _silence(draws, silence, sound, add)
        onsets.append(now)
        pauses.append(silence / RATE)
        _phrase(draws, talker, add)
        offsets.append(now)
    length, height = np.concatenate(lengths), np.concatenate(heights)
    which = np.repeat(np.arange(len(length)), length)[:samples]
    begin = np.cumsum(length) - length
    phase = (np.arange(samples) - begin[which] + 0.5) / length[which]
    bump = sine(0.5 * phase)
    envelope = height[which] * (_BETWEEN + (1.0 - _BETWEEN) * bump * bump)
    inside = np.array(onsets) < samples
    return Timeline(
        np.array(spoken)[which], envelope, np.array(onsets)[inside], np.array(offsets)[inside], np.array(pauses)[inside]
    )


def _pause(draws: Draws, talker: Talker) -> int:
    if float(draws.uniform(0.0, 1.0)) < talker.long_pauses:
        return round(RATE * float(draws.uniform(*_LONG_PAUSE)))
    usual = -0.5 * talker.pause * float(np.log(1.0 - draws.uniform(0.0, 1.0, 2)).sum())
    return round(RATE * min(max(usual, _PAUSE[0]), _PAUSE[1]))


def _silence(draws: Draws, length: int, sound: bool, add: Any) -> None:
    """A pause, in the middle of which there may be a steady sound, or three notes."""
    if not sound:
        add(np.array([length]), np.zeros(1), False)
        return
    edge = round(0.25 * length)
    notes = 1 if float(draws.uniform(0.0, 1.0)) < 0.5 else 3
    inner = np.full(notes, (length - 2 * edge) // notes)
    inner[0] += length - 2 * edge - inner.sum()
    loud = draws.uniform(0.5, 1.0, notes)
    add(np.array([edge, *inner, edge]), np.array([0.0, *loud, 0.0]), False)


def _phrase(draws: Draws, talker: Talker, add: Any) -> None:
    """Words of syllables; the voice falls towards the end."""
    words = 2 + min(20, int(-np.log(1.0 - draws.uniform(0.0, 1.0)) * (talker.words - 1.5)))
    seconds = 0.3 * np.exp(0.35 * draws.normal(words))
    counts = np.maximum(1, np.round(seconds * talker.syllables)).astype(np.int64)
    for number, count in enumerate(counts):
        each = np.maximum(8, np.round(RATE / talker.syllables * draws.uniform(0.75, 1.25, count))).astype(np.int64)
        falling = 1.0 - 0.3 * number / words
        height = falling * draws.uniform(0.6, 1.2, count)
        gap = 0 if number == words - 1 else 2 + int(draws.integers(3))
        add(np.append(each, gap)[: count + (gap > 0)], np.append(height, 0.0)[: count + (gap > 0)], True)
