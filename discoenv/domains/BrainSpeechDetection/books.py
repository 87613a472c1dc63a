"""The books: who reads them how, who listens, and how clean the recording is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .speech import Talker


@dataclass(frozen=True)
class Book:
    """What the recordings of a book have in common.

    Attributes:
        talker: how it is read.
        listener: whose head it is; sources of one listener are at the same places, but for what differs between exams.
        response: strength of the cortical responses, 1 for Book1.
        brain: strength of the activity that has nothing to do with the book.
        alpha: strength of the rhythm of 8 to 12 Hz.
        suppressed: by which share alpha is weaker while speech is heard.
        blinks: per minute.
        heart: strength of the heart's field.
        jumps: steps of single sensors per minute.
        muscle: bursts of muscle activity per minute.
        bad: mean number of sensors that are noisy in a session.
        noise: of the sensors, fT in each sample.
        shift, turn: of the head under the helmet, in mm and degrees, mean over sessions: to the right, and about the
            vertical.
        moves: standard deviation of the same between sessions, mm; degrees are half as many.
    """

    talker: Talker = field(default_factory=Talker)
    listener: int = 1
    response: float = 1.0
    brain: float = 1.0
    alpha: float = 1.0
    suppressed: float = 0.35
    blinks: float = 12.0
    heart: float = 1.0
    jumps: float = 0.5
    muscle: float = 1.0
    bad: float = 0.5
    noise: float = 25.0
    shift: float = 0.0
    turn: float = 0.0
    moves: float = 3.0


#: By the names that configurations use.
BOOKS: Final[Mapping[str, Book]] = {
    # the reference
    "Book1": Book(),
    # read slowly, with long pauses
    "Book2": Book(Talker(syllables=4.2, words=6.5, pause=0.65, long_pauses=0.06), response=0.95),
    # read fast, with short pauses
    "Book3": Book(Talker(syllables=6.2, words=8.0, pause=0.5, long_pauses=0.05), response=1.15),
    # strong alpha, which speech hardly suppresses
    "Book4": Book(alpha=2.2, suppressed=0.15, response=1.1),
    # blinks, jumps, muscles and bad sensors
    "Book5": Book(blinks=30.0, heart=2.0, jumps=6.0, muscle=8.0, bad=2.0, response=1.1),
    # the head is elsewhere, and moves between sessions
    "Book6": Book(shift=9.0, turn=8.0, moves=7.0, response=1.1),
    # weak responses, much other activity, and much music and noise in the pauses
    "Book7": Book(Talker(words=6.5, pause=0.6, long_pauses=0.07, sounds=0.7), response=0.85, brain=1.1),
    # another head
    "Listener2": Book(listener=2, response=1.0, shift=-4.0, moves=4.0),
}
