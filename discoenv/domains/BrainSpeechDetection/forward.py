"""What magnetometers on a helmet measure of current dipoles in a spherical head (Sarvas 1987).

Lengths are in metres with the centre of the head at 0: x points to the right ear, y to the nose, z to the crown.
Arithmetic is that of :mod:`discoenv.data.generated.exact`, so the bits are the same everywhere.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np

from discoenv.data.generated.exact import Floats, Integers, cosine, sine

#: Radius of the head and of the helmet, in metres.
HEAD, HELMET = 0.09, 0.12
#: Sensors of the helmet, and how many of them are kept: most of them near the auditory cortices.
SENSORS, KEPT, NEAR = 64, 23, 16
#: Where auditory cortex is on the right; on the left x is negative.
AUDITORY: Final = np.array([0.055, 0.005, 0.015])
#: fT per nA m, with everything else in SI units: 1e-7 (mu0 / 4 pi) · 1e-9 · 1e15.
_UNIT = 0.1


@dataclass(frozen=True)
class Helmet:
    """Places and directions of sensors, float64[S, 3] each, in the coordinates of the head."""

    places: Floats
    directions: Floats

    def moved(self, shift: Floats, turns: Floats) -> Helmet:
        """The helmet of a head that has moved.

        Args:
            shift: float64[3], metres.
            turns: float64[3], rotation about x, y and z, one after another, in whole turns.
        """
        rotation = np.eye(3)
        for axis, turn in enumerate(turns):
            one, other = [each for each in range(3) if each != axis]
            step = np.eye(3)
            step[one, one] = step[other, other] = cosine(turn)
            step[one, other], step[other, one] = -sine(turn), sine(turn)
            rotation = _product(step, rotation)
        return Helmet(_product(self.places, rotation.T) + shift, _product(self.directions, rotation.T))


def _product(a: Floats, b: Floats) -> Floats:
    """The matrix product of float64[N, 3] and float64[3, 3], summed in a fixed order."""
    product: Floats = a[:, 0:1] * b[0] + a[:, 1:2] * b[1] + a[:, 2:3] * b[2]
    return product


def _cross(a: Floats, b: Floats) -> Floats:
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return np.stack(parts, axis=-1)


def _dot(a: Floats, b: Floats) -> Floats:
    product: Floats = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]
    return product


def lead_field(helmet: Helmet, places: Floats, moments: Floats) -> Floats:
    """What each sensor measures of each dipole, in fT per nA m.

    Equation 25 of Sarvas (1987): outside a spherical conductor, a dipole of moment Q at q has at r the field
    mu0 / (4 pi F²) · (F (Q × q) − ((Q × q) · r) ∇F), with a = r − q, F = |a| (|r| |a| + |r|² − q · r) and
    ∇F = (|a|² / |r| + a · r / |a| + 2 |a| + 2 |r|) r − (|a| + 2 |r| + a · r / |a|) q.

    Args:
        helmet: of S sensors.
        places: float64[D, 3], metres, inside the head.
        moments: float64[D, 3], unit vectors.

    Returns:
        float64[S, D].
    """
    r, q = helmet.places[:, None, :], places[None, :, :]
    a = r - q
    length_a, length_r = np.sqrt(_dot(a, a)), np.sqrt(_dot(r, r))
    along = _dot(a, r) / length_a
    f = length_a * (length_r * length_a + length_r * length_r - _dot(q, r))
    by_r = length_a * length_a / length_r + along + 2.0 * length_a + 2.0 * length_r
    by_q = length_a + 2.0 * length_r + along
    gradient = by_r[..., None] * r - by_q[..., None] * q
    turned = _cross(moments, places)[None, :, :]
    field = (f[..., None] * turned - _dot(turned, r)[..., None] * gradient) / (f * f)[..., None]
    return _UNIT * _dot(field, helmet.directions[:, None, :])


@functools.cache
def whole_helmet() -> Helmet:
    """``SENSORS`` magnetometers, evenly spread over the upper part of a sphere, that point away from its centre."""
    number = np.arange(SENSORS, dtype=np.float64)
    z = 1.0 - 1.25 * (number + 0.5) / SENSORS
    around = 0.6180339887498949 * number
    width = np.sqrt(1.0 - z * z)
    directions = np.stack([width * cosine(around), width * sine(around), z], axis=1)
    return Helmet(HELMET * directions, directions)


@functools.cache
def kept_sensors() -> Integers:
    """Numbers of the ``KEPT`` sensors: the ``NEAR`` closest to either auditory cortex, and some far from both."""
    places = whole_helmet().places
    offsets = [places - AUDITORY * np.array([side, 1.0, 1.0]) for side in (1.0, -1.0)]
    order = [np.argsort(_dot(offset, offset), kind="stable") for offset in offsets]
    near = {int(number) for each in order for number in each[: NEAR // 2]}
    far = [number for number in range(SENSORS) if number not in near]
    count = KEPT - len(near)
    return np.array(sorted([*near, *(far[(2 * k + 1) * len(far) // (2 * count)] for k in range(count))]))


def helmet() -> Helmet:
    """The ``KEPT`` sensors."""
    kept = kept_sensors()
    return Helmet(whole_helmet().places[kept], whole_helmet().directions[kept])


def flat() -> Floats:
    """Where the kept sensors are on a drawing seen from above, nose up, float64[KEPT, 2]: angle kept, radius from z."""
    places = helmet().places
    ground = np.sqrt(places[:, 0] ** 2 + places[:, 1] ** 2)
    from_top = np.arccos(np.clip(places[:, 2] / HELMET, -1.0, 1.0))
    return places[:, :2] / np.maximum(ground, 1e-9)[:, None] * from_top[:, None]
