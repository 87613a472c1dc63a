"""How much procedural recordings are like real ones, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .examiner import evoked
from .forward import flat
from .recordings import Session
from .speech import RATE

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Samples of the segments whose spectra are averaged (Welch 1967), 2 s.
_SEGMENT = 2 * RATE
#: Hz between which the power falls like 1 / f^x, alpha left out; and where alpha is looked for.
_FALLING, _ALPHA = (1.0, 30.0), (7.0, 13.0)


def spectrum(sessions: Sequence[Session]) -> tuple[Floats, Floats]:
    """Frequencies in Hz, float64[F], and the median over sensors of the power density, pT² / Hz, float64[F].

    Of each sensor the median over segments, with a Hann window. As in any analysis of MEG, segments with artefacts are
    left out: those whose range is above twice that of a quiet segment of the sensor.
    """
    window = np.hanning(_SEGMENT)
    segments = np.concatenate(
        [
            each.signals[:, start : start + _SEGMENT].astype(np.float64)
            for each in sessions
            for start in range(0, each.signals.shape[1] - _SEGMENT + 1, _SEGMENT // 2)
        ]
    ).reshape(-1, len(sessions[0].signals), _SEGMENT)
    segments -= segments.mean(axis=2, keepdims=True)
    power = np.abs(np.fft.rfft(segments * window, axis=2)) ** 2 * 2.0 / (RATE * (window**2).sum())
    width = segments.max(axis=2) - segments.min(axis=2)
    power[width > 2.0 * np.median(np.sort(width, axis=0)[: len(width) // 2], axis=0)] = np.nan
    frequencies: Floats = np.arange(_SEGMENT // 2 + 1).astype(np.float64) * (RATE / _SEGMENT)
    return frequencies, np.median(np.nanmedian(power, axis=0), axis=0)


def falling(frequencies: Floats, power: Floats) -> tuple[float, float]:
    """The exponent x of 1 / f^x, a line through the logarithms without alpha; and its height at 1 Hz, log10."""
    outside = (frequencies < _ALPHA[0]) | (frequencies > _ALPHA[1])
    used = (frequencies >= _FALLING[0]) & (frequencies <= _FALLING[1]) & outside
    slope, height = np.polyfit(np.log10(frequencies[used]), np.log10(power[used]), 1)
    return -float(slope), float(height)


def alpha_peak(frequencies: Floats, power: Floats) -> tuple[float, float]:
    """Where alpha rises most above 1 / f^x, in Hz, and by how many dB."""
    exponent, height = falling(frequencies, power)
    near = (frequencies >= _ALPHA[0]) & (frequencies <= _ALPHA[1])
    above = 10.0 * (np.log10(power[near]) - height + exponent * np.log10(frequencies[near]))
    best = int(np.argmax(above))
    return float(frequencies[near][best]), float(above[best])


def latencies(sessions: Sequence[Session]) -> tuple[float, float, float]:
    """When the evoked response of auditory sensors on the right peaks, in seconds: about 0.05, 0.1 and 0.2.

    The evoked response is projected on the field of the right auditory source. Its sign is that of a source whose
    response at 0.1 s is negative; peaks are looked for in 0.03–0.075, 0.075–0.15 and 0.15–0.3 s.
    """
    field = np.mean([each.gains[:, 0] for each in sessions], axis=0)
    right = flat()[:, 0] > 0.0
    course = field[right] @ evoked(list(sessions))[right]
    found = []
    for sign, low, high in ((1.0, 0.03, 0.075), (-1.0, 0.075, 0.15), (1.0, 0.15, 0.3)):
        first, last = round((0.2 + low) * RATE), round((0.2 + high) * RATE)
        found.append((first + int(np.argmax(sign * course[first : last + 1]))) / RATE - 0.2)
    return found[0], found[1], found[2]
