"""Procedural MEG of somebody who listens to a book: cortical responses in brain rhythms, artefacts and sensor noise.

A recording is the sum of what dipoles in the head, heart, eyes and muscles do to the sensors of a helmet. Dipole
moments are in nA m, fields in fT, what learners get in pT. Everything follows from a book and from draws, with the same
bits everywhere: arithmetic is that of :mod:`discoenv.data.generated.exact`, durations and coefficients are rounded, and
gains and moments are whole multiples of ``_GRID`` before they are multiplied, so that sums of products are exact in any
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from discoenv.data.generated.exact import Draws, FastDraws, Floats, cosine, sine

from .books import Book
from .forward import AUDITORY, HEAD, KEPT, Helmet, helmet, lead_field
from .speech import RATE, Timeline, timeline

Halves = np.ndarray[Any, np.dtype[np.float16]]

#: Samples in a window, 0.8 s; its label is that of the sample in the middle.
WINDOW: Final = 80
#: Peaks of the response to an onset: seconds after it, width (standard deviation, seconds), height.
PEAKS: Final = ((0.05, 0.010, 0.45), (0.1, 0.018, -1.0), (0.2, 0.035, 0.7))
#: The left hemisphere is later by so many seconds, and has a weaker response.
_LATER, _WEAKER = 0.02, 0.8
#: nA m: a response to the onset of a phrase, of a syllable, to the end of a phrase, and while something is heard.
_PHRASE, _SYLLABLE, _END, _SUSTAINED = 48.0, 38.0, 29.0, 22.0
#: Cut-off frequencies, Hz, of the low-passes that add up to noise with a power of 1 / f.
_CUTOFFS: Final = (0.15, 0.6, 2.4, 9.6, 38.4)
_BACKGROUND, _ALPHAS, _MUSCLES = 40, 3, 4
#: nA m of a typical background dipole, of alpha, and of bursts of muscle activity; of a blink and a heart beat.
_BRAIN, _ALPHA, _MUSCLE, _BLINK, _HEART = 9.0, 22.0, 25.0, 700.0, 150.0
#: nA m of what the auditory dipoles do that has nothing to do with sound: no spatial filter takes that away.
_AUDITORY = 9.5
#: fT of the mains in a sensor, and their frequency, which lies below the half of RATE.
_MAINS, _MAINS_HERTZ = 10.0, 49.6
_SETTLING = 3 * RATE
_TAPS = 50
#: Gains and moments are multiples of this: a power of two.
_GRID = 2.0**-12


@dataclass(frozen=True)
class Listener:
    """Sources in a head, float64[D, 3] metres and unit vectors, and what they do.

    Attributes:
        places, moments: of all dipoles, in the order of ``source_names``.
        kernels: float64[4, _TAPS], responses to an onset by the right and the left hemisphere, and to an end.
        strengths: float64[_BACKGROUND], nA m.
        alpha_hertz: frequency of each alpha dipole.
    """

    places: Floats
    moments: Floats
    kernels: Floats
    strengths: Floats
    alpha_hertz: Floats


@dataclass(frozen=True)
class Session:
    """A recording.

    Attributes:
        signals: float16[KEPT, T], pT, RATE samples per second.
        timeline: what was heard.
        gains: float64[KEPT, D], fT per nA m, of all dipoles in this session.
    """

    signals: Halves
    timeline: Timeline
    gains: Floats

    def windows(self) -> tuple[Halves, np.ndarray[Any, np.dtype[np.int64]]]:
        """float16[N, KEPT, WINDOW] one after another, and whether there is speech in the middle, int64[N]."""
        count = self.signals.shape[1] // WINDOW
        cut = self.signals[:, : count * WINDOW].reshape(KEPT, count, WINDOW)
        middles = self.timeline.speech[WINDOW // 2 :: WINDOW][:count]
        return np.ascontiguousarray(cut.transpose(1, 0, 2)), middles.astype(np.int64)


#: Dipoles by what they are: numbers of the rows of ``Listener.places``.
_ORDER = {"transient": 2, "sustained": 2, "alpha": _ALPHAS, "muscle": _MUSCLES, "eyes": 2, "background": _BACKGROUND}
_ENDS = np.cumsum(list(_ORDER.values()))
ROWS: Final = {
    name: slice(int(end) - count, int(end)) for (name, count), end in zip(_ORDER.items(), _ENDS, strict=True)
}


def listener(book: Book, draws: Draws) -> Listener:
    """The head of an exam.

    Where its sources are is mostly a matter of who listens (``book.listener``); ``draws`` moves and turns them by
    some millimetres and degrees, and changes latencies and strengths, so that no two exams have the same head.
    """
    fixed = Draws("brain speech", "listener", book.listener)
    mirror = np.array([-1.0, 1.0, 1.0])
    # auditory: beneath the sensors on either side, tangential
    centre = AUDITORY + 0.004 * fixed.normal(2, 3)
    tilt = np.array([[0.0, 0.45, -0.9], [0.0, 0.15, -1.0]]) + 0.2 * fixed.normal(2, 3)
    auditory = np.stack([centre, centre * mirror], axis=1).reshape(4, 3) + 0.003 * draws.normal(4, 3)
    auditory_moments = np.stack([tilt, tilt], axis=1).reshape(4, 3) + 0.15 * draws.normal(4, 3)
    alpha = np.array([0.0, -0.055, 0.03]) + np.array([0.02, 0.01, 0.015]) * fixed.normal(_ALPHAS, 3)
    sides = np.array([1.0, -1.0, 1.0, -1.0])[:, None] * np.array([1.0, 0.0, 0.0])
    muscle = 0.068 * sides + np.array([0.0, 0.03, -0.03]) + 0.01 * fixed.normal(_MUSCLES, 3)
    eyes = np.array([[0.03, 0.07, -0.01], [-0.03, 0.07, -0.01]])
    background = fixed.normal(_BACKGROUND, 3) + 0.2 * draws.normal(_BACKGROUND, 3)
    depth = fixed.uniform(0.35, 0.85, _BACKGROUND)[:, None] * HEAD
    background = _unit(background) * depth
    places = np.concatenate([auditory, alpha, muscle, eyes, background])
    moments = np.concatenate(
        [
            auditory_moments,
            fixed.normal(_ALPHAS, 3) + 0.2 * draws.normal(_ALPHAS, 3),
            fixed.normal(_MUSCLES, 3),
            np.array([[0.0, 0.3, 1.0]] * 2),
            fixed.normal(_BACKGROUND, 3) + 0.4 * draws.normal(_BACKGROUND, 3),
        ]
    )
    strengths = _BRAIN * book.brain * draws.uniform(0.5, 1.5, _BACKGROUND)
    # the auditory cortices do other things, too
    places[ROWS["background"]][:4], moments[ROWS["background"]][:4] = auditory, auditory_moments
    strengths[:4] = _AUDITORY * book.brain
    hertz = 10.0 + 0.8 * fixed.normal(_ALPHAS).clip(-1.5, 1.5) + draws.uniform(-0.3, 0.3, _ALPHAS)
    return Listener(places, _unit(moments), _kernels(draws), strengths, hertz)


def _unit(vectors: Floats) -> Floats:
    square = vectors[:, 0] ** 2 + vectors[:, 1] ** 2 + vectors[:, 2] ** 2
    unit: Floats = vectors / np.sqrt(square)[:, None]
    return unit


def _kernels(draws: Draws) -> Floats:
    """Responses to an impulse: to onsets, right and left, and to ends, right and left."""
    seconds = np.arange(_TAPS) / RATE
    kernels = np.zeros((4, _TAPS))
    for centre, width, height in PEAKS:
        moved = centre * (1.0 + 0.06 * float(draws.normal()))
        scaled = height * (1.0 + 0.15 * float(draws.normal()))
        for row, (later, weaker) in enumerate(((0.0, 1.0), (_LATER, _WEAKER))):
            bump = weaker * scaled * np.exp(-0.5 * ((seconds - moved - later) / width) ** 2)
            kernels[row] += bump
            kernels[2 + row] += bump if centre == 0.1 else 0.0
    return _on_grid(kernels)


def _on_grid(values: Floats) -> Floats:
    """The nearest multiples of ``_GRID``."""
    rounded: Floats = np.floor(values / _GRID + 0.5) * _GRID
    return rounded


def record(book: Book, head: Listener, draws: Sequence[FastDraws], samples: int) -> list[Session]:
    """Sessions of ``samples`` samples each, one of each draws; all at once, which is quicker than one by one."""
    lines = [timeline(each.part("timeline"), book.talker, samples) for each in draws]
    noise = [each.part("noise").normal(samples + _SETTLING, _BACKGROUND + 2 * _ALPHAS) for each in draws]
    slow = _filtered(np.stack(noise, axis=1))
    moments = np.zeros((len(draws), len(head.places), samples))
    moments[:, ROWS["transient"]], moments[:, ROWS["sustained"]] = responses(book, head, lines)
    moments[:, ROWS["background"]] = head.strengths[:, None] * slow[:, :_BACKGROUND]
    moments[:, ROWS["alpha"]] = _alpha(book, head, lines, slow[:, _BACKGROUND:])
    sessions = []
    for each, line, own in zip(draws, lines, moments, strict=True):
        own[ROWS["eyes"]] = _blinks(book, each.part("blinks"), samples)
        own[ROWS["muscle"]] = _muscle(book, each.part("muscle"), samples)
        worn = _worn(book, each.part("head"))
        gains = lead_field(worn, head.places, head.moments) * (1.0 + 0.03 * each.part("gains").normal(KEPT))[:, None]
        field = _on_grid(gains) @ _on_grid(own)
        field += _of_sensors(book, worn, each, samples)
        sessions.append(Session((field / 1000.0).clip(-6e4, 6e4).astype(np.float16), line, gains))
    return sessions


def _worn(book: Book, draws: Draws) -> Helmet:
    """The helmet as the head is under it in a session."""
    shift = np.array([book.shift, 0.0, -0.3 * abs(book.shift)]) + book.moves * draws.normal(3)
    turn = np.array([0.0, 0.0, book.turn]) + 0.5 * book.moves * draws.normal(3)
    return helmet().moved(shift / 1000.0, turn / 360.0)


def _filtered(noise: Floats) -> Floats:
    """Noise with a power of 1 / f, and two slow ones for each alpha dipole, of variance 1.

    Args:
        noise: float64[_SETTLING + T, S, C], white; overwritten.

    Returns:
        float64[S, C, T].
    """
    cutoffs = np.array(_CUTOFFS)
    keep = _on_grid(np.exp(-2.0 * np.pi * cutoffs / RATE))[:, None, None]
    # low-passes of white noise whose gains fall with the root of their cut-off add up to 1 / f
    gain = np.repeat(np.sqrt(1.0 / cutoffs)[:, None], noise.shape[2], axis=1) * 2.2
    gain[:, _BACKGROUND:] = 0.0
    gain[1, _BACKGROUND:] = np.sqrt((1.0 + keep[1, 0, 0]) / (1.0 - keep[1, 0, 0]))
    gain = _on_grid(gain)[:, None, :] * (1.0 - keep)
    state = np.zeros((len(cutoffs), *noise.shape[1:]))
    product = np.empty_like(state)
    for now in noise:  # in place: what comes in is replaced by what goes out
        np.multiply(state, keep, out=state)
        np.multiply(gain, now, out=product)
        np.add(state, product, out=state)
        np.add(state[0], state[1], out=now)
        for other in state[2:]:
            np.add(now, other, out=now)
    return np.ascontiguousarray(noise[_SETTLING:].transpose(1, 2, 0))


def _convolved(values: Floats, kernel: Floats) -> Floats:
    """``values`` float64[S, T] through a causal filter float64[K]."""
    found = np.zeros_like(values)
    for delay, weight in enumerate(kernel.tolist()):
        if weight:
            found[:, delay:] += weight * values[:, : values.shape[1] - delay]
    return found


def responses(book: Book, head: Listener, lines: Sequence[Timeline]) -> tuple[Floats, Floats]:
    """Moments of the auditory dipoles, float64[S, 2, T] each: transient responses, and the sustained one."""
    envelope = np.stack([line.envelope for line in lines])
    onsets = np.zeros_like(envelope)
    onsets[:, 1:] = _SYLLABLE * np.maximum(0.0, envelope[:, 1:] - envelope[:, :-1])
    ends = np.zeros_like(envelope)
    for number, line in enumerate(lines):
        fresh = 0.4 + 0.6 * np.minimum(1.0, line.pauses)  # the response recovers in silence
        onsets[number, line.onsets] += _PHRASE * fresh
        last = line.offsets[line.offsets < envelope.shape[1]]
        ends[number, last] += _END
    transient = [
        book.response * (_convolved(onsets, head.kernels[side]) + _convolved(ends, head.kernels[2 + side]))
        for side in (0, 1)
    ]
    # a low-pass of 150 ms, 80 ms late; its weights add up to 1
    weights = np.exp(-np.arange(_TAPS - 8) / 15.0)
    late = _on_grid(np.concatenate([np.zeros(8), weights / weights.sum()]))
    sustained = -_SUSTAINED * book.response * _convolved(envelope, late)
    return np.stack(transient, axis=1), np.stack([sustained, _WEAKER * sustained], axis=1)


def _alpha(book: Book, head: Listener, lines: Sequence[Timeline], slow: Floats) -> Floats:
    """Waxing and waning rhythms, float64[S, _ALPHAS, T], weaker while speech is heard."""
    samples = slow.shape[2]
    heard = np.stack([line.speech for line in lines]).astype(np.float64)
    late = np.concatenate([np.zeros(10), np.full(20, 0.05)])
    awake = 1.0 - book.suppressed * _convolved(heard, late)
    turns = np.floor(head.alpha_hertz / _GRID + 0.5)[:, None] * _GRID * np.arange(samples) / RATE
    wave = slow[:, :_ALPHAS] * cosine(turns) - slow[:, _ALPHAS:] * sine(turns)
    rhythm: Floats = _ALPHA * book.alpha * awake[:, None, :] * wave
    return rhythm


def _times(draws: Draws, per_minute: float, samples: int) -> list[int]:
    """When something happens: whole samples, with at least 0.3 s between events."""
    times: list[int] = []
    now = 0
    while per_minute > 0.0:
        gap = -60.0 / per_minute * float(np.log(1.0 - draws.uniform(0.0, 1.0)))
        now += 30 + round(RATE * max(0.0, gap - 0.3))
        if now >= samples:
            break
        times.append(now)
    return times


def _blinks(book: Book, draws: Draws, samples: int) -> Floats:
    """Moments of the dipoles at the eyes, float64[2, T]: bumps of 0.25 s."""
    moment = np.zeros(samples)
    bump = sine(0.5 * (np.arange(25) + 0.5) / 25) ** 2
    for start in _times(draws, book.blinks, samples):
        height = _BLINK * float(draws.uniform(0.6, 1.2))
        part = moment[start : start + 25]
        part += height * bump[: len(part)]
    return np.stack([moment, moment])


def _muscle(book: Book, draws: FastDraws, samples: int) -> Floats:
    """Bursts of noise of 0.3 to 1 s, float64[_MUSCLES, T]."""
    moments = np.zeros((_MUSCLES, samples))
    for start in _times(draws, book.muscle, samples):
        length = min(30 + int(draws.integers(70)), samples - start)
        moments[int(draws.integers(_MUSCLES)), start : start + length] = _MUSCLE * draws.normal(length)
    return moments


def _of_sensors(book: Book, worn: Helmet, draws: FastDraws, samples: int) -> Floats:
    """What is not from the head, float64[KEPT, T], fT: heart, mains, steps, and noise."""
    own = draws.part("sensors")
    noise = np.full(KEPT, book.noise)
    for number in range(KEPT):
        if float(own.uniform(0.0, 1.0)) < book.bad / KEPT:
            noise[number] *= 8.0 + 8.0 * float(own.uniform(0.0, 1.0))
    field = noise[:, None] * own.normal(KEPT, samples)
    beat = np.zeros(samples)
    now = int(own.integers(RATE))
    wave = np.array([0.1, 0.0, -0.2, 0.9, 1.0, -0.35, 0.0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.15, 0.05])
    while now < samples:
        part = beat[now : now + len(wave)]
        part += wave[: len(part)]
        now += round(RATE / 1.1 * float(own.uniform(0.9, 1.1)))
    towards = worn.directions[:, 0] * -0.5 + worn.directions[:, 2] * -0.8
    field += (_HEART * book.heart * towards)[:, None] * beat
    mains = cosine(_MAINS_HERTZ * np.arange(samples) / RATE + float(own.uniform(0.0, 1.0)))
    field += (_MAINS * own.uniform(0.0, 2.0, KEPT))[:, None] * mains
    for start in _times(own, book.jumps, samples):
        length = min(50 + int(own.integers(250)), samples - start)
        field[int(own.integers(KEPT)), start : start + length] += 3000.0 * float(own.normal())
    return field
