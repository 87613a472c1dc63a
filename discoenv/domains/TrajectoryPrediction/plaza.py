"""Pedestrians on a plaza, many worlds at once: the social force model of Helbing & Molnár 1995 (Phys. Rev. E 51, 4282).

Everyone comes from a gate and goes to a place in the middle, from where the way to another gate begins. Which one that
is shows only there. Around columns one walks as around others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .roads import LANE_POINTS, PEDESTRIAN, Booleans, Floats
from .simulation import RECORDED, STEP, Traffic

#: Seconds in which a pedestrian comes to the desired velocity; strength (m/s²) and range (m) of the social force; by
#: how much it is weaker from behind; radius of a pedestrian.
_RELAXED, _FORCE, _RANGE, _BEHIND, _RADIUS = 0.6, 2.3, 0.35, 0.4, 0.25
#: Fastest that anyone walks, in units of the desired speed; strongest acceleration, m/s²; metres from a place at which
#: one has come to it.
_FASTEST, _STRONGEST, _ARRIVED = 1.3, 3.0, 2.0


@dataclass(frozen=True)
class _Plaza:
    """W plazas: gates float64[W, 6, 2] at angles, those that are open; places [W, 3, 2]; columns [W, 4, 2], how thick.

    A column of thickness 0 is not there.
    """

    gates: Floats
    open: Booleans
    angle: Floats
    places: Floats
    columns: Floats
    thick: Floats

    @classmethod
    def draw(cls, worlds: int, draw: np.random.Generator) -> Self:
        """At random."""
        count = 6
        radius = draw.uniform(14.0, 21.0, worlds)
        angle = draw.uniform(0, 2 * np.pi, (worlds, 1)) + np.arange(count) * 2 * np.pi / count
        angle = angle + draw.uniform(-0.35, 0.35, angle.shape)
        open_ = np.argsort(draw.random((worlds, count)), axis=1) < draw.integers(4, count + 1, (worlds, 1))
        open_[:, :2] = True
        gates = radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        places = draw.uniform(-0.42, 0.42, (worlds, 3, 2)) * radius[:, None, None]
        columns = draw.uniform(-0.7, 0.7, (worlds, 4, 2)) * radius[:, None, None]
        thick = draw.uniform(0.4, 1.0, columns.shape[:2])
        near = np.linalg.norm(columns[:, :, None] - places[:, None], axis=-1).min(axis=-1) < thick + 2.0
        return cls(gates, open_, angle, places, columns, np.where(near, 0.0, thick))


class _Crowd:
    """A pedestrians on each of W plazas; arrays are [W, A] or [W, A, 2]."""

    def __init__(self, plaza: _Plaza, users: int, draw: np.random.Generator) -> None:
        self.plaza, self.draw = plaza, draw
        worlds = len(plaza.gates)
        shape, rows = (worlds, users), np.arange(worlds)[:, None]
        count = plaza.gates.shape[1]
        chance = np.where(plaza.open[:, None], draw.random((*shape, count)), -1.0).argsort(axis=-1)
        middle = draw.integers(0, plaza.places.shape[1], shape)
        spread = draw.normal(0.0, 1.2, (*shape, 2))
        self.via = plaza.places[rows, middle] + 0.6 * spread
        self.goal = plaza.gates[rows, chance[..., -2]] + spread[..., ::-1]
        begin = plaza.gates[rows, chance[..., -1]] * draw.uniform(1.0, 1.35, (*shape, 1)) + spread
        self.position = begin + draw.uniform(0.0, 0.75, (*shape, 1)) * (self.via - begin)
        self.wanted = (1.34 + 0.26 * draw.standard_normal(shape)).clip(0.6, 2.1)  # Helbing & Molnár 1995
        direction = self.via - self.position
        self.velocity = self.wanted[..., None] * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        self.gained = np.zeros(shape)
        self.passed = np.zeros(shape, bool)
        self.noise = np.zeros_like(self.velocity)
        near = np.linalg.norm(self.position[:, :, None] - self.position[:, None], axis=-1) < 0.9
        clear = np.linalg.norm(self.position[:, :, None] - plaza.columns[:, None], axis=-1) > plaza.thick[:, None] + 0.5
        self.there = ~np.tril(near, -1).any(axis=-1) & clear.all(axis=-1)

    def accelerate(self) -> None:
        """Towards the aim, and away from others and columns."""
        self.passed |= np.linalg.norm(self.via - self.position, axis=-1) < _ARRIVED
        aim = np.where(self.passed[..., None], self.goal, self.via) - self.position
        distance = np.linalg.norm(aim, axis=-1, keepdims=True)
        self.there &= ~(self.passed & (distance[..., 0] < 1.0))
        force = (self.wanted[..., None] * aim / np.maximum(distance, 0.3) - self.velocity) / _RELAXED
        own = np.full(self.there.shape, _RADIUS)
        force += _pushed(self.position, self.velocity, self.position, own, self.there)
        force += _pushed(self.position, self.velocity, self.plaza.columns, self.plaza.thick, self.plaza.thick > 0)
        self.noise += -0.1 * self.noise + 0.12 * self.draw.standard_normal(self.noise.shape)
        force = force + self.noise
        force *= np.minimum(1.0, _STRONGEST / np.maximum(np.linalg.norm(force, axis=-1, keepdims=True), 1e-6))
        before = np.linalg.norm(self.velocity, axis=-1)
        self.velocity = self.velocity + STEP * force
        speed = np.linalg.norm(self.velocity, axis=-1, keepdims=True)
        self.velocity *= np.minimum(1.0, _FASTEST * self.wanted[..., None] / np.maximum(speed, 1e-6))
        self.gained = (np.linalg.norm(self.velocity, axis=-1) - before) / STEP

    def record(self) -> tuple[Any, ...]:
        """As of :class:`Traffic`: position, heading, speed, acceleration, gap, presence, and the way to the place."""
        heading = np.arctan2(self.velocity[..., 1], self.velocity[..., 0])
        speed = np.linalg.norm(self.velocity, axis=-1)
        fork = np.where(self.passed, -1.0, np.linalg.norm(self.via - self.position, axis=-1) - _ARRIVED)
        gap = np.full_like(speed, np.inf)
        return self.position, heading, speed, self.gained, gap, self.there.copy(), fork


def simulate(
    worlds: int, users: int, times: int, warm_s: float, draw: np.random.Generator
) -> tuple[Traffic, Floats, Booleans]:
    """W plazas, each another one.

    Args:
        worlds, users: W, A.
        times: T, recorded times, ``STEP * RECORDED`` apart.
        warm_s: seconds before the first of them.
        draw: all randomness.

    Returns:
        The traffic; lanes float32[W, L, LANE_POINTS, 2] and bool[W, L] of a map: gates, places, columns.
    """
    plaza = _Plaza.draw(worlds, draw)
    crowd = _Crowd(plaza, users, draw)
    records: list[tuple[Any, ...]] = []
    warm = round(warm_s / STEP)
    for step in range(warm + (times - 1) * RECORDED + 1):
        crowd.accelerate()
        if step >= warm and (step - warm) % RECORDED == 0:
            records.append(crowd.record())
        crowd.position = crowd.position + STEP * crowd.velocity
    columns = [np.stack(column, axis=2).astype(np.float32) for column in zip(*records, strict=True)]
    position, heading, speed, gained, gap, present, fork = columns
    kind = np.full((worlds, users), PEDESTRIAN)
    size = np.broadcast_to(np.float32(2 * _RADIUS), (worlds, users, 2))
    found = Traffic(position, heading, speed, gained, gap, present.astype(bool), fork, kind, size)
    return found, *_map(plaza)


def _pushed(position: Floats, velocity: Floats, others: Floats, radius: Floats, there: Booleans) -> Floats:
    """Acceleration float64[W, A, 2] away from others float64[W, B, 2] with a radius [W, B], those that are there."""
    apart = position[:, :, None] - others[:, None]
    distance = np.linalg.norm(apart, axis=-1)
    away = apart / np.maximum(distance, 1e-3)[..., None]
    strength = _FORCE * np.exp(np.minimum((_RADIUS + radius[:, None] - distance) / _RANGE, 2.0))
    strength *= there[:, None] & (distance > 1e-6)
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    ahead = -(away * (velocity / np.maximum(speed, 1e-3))[:, :, None]).sum(axis=-1)
    strength *= _BEHIND + (1 - _BEHIND) * 0.5 * (1 + ahead)
    # A little to the right, so that two who meet do not stand still.
    right = np.stack([away[..., 1], -away[..., 0]], axis=-1)
    push: Floats = (strength[..., None] * (away - 0.3 * right)).sum(axis=2)
    return push


def _map(plaza: _Plaza) -> tuple[Floats, Booleans]:
    """Polylines: across each gate, around each place and column."""
    t = np.linspace(-1.5, 1.5, LANE_POINTS)
    across = np.stack([-np.sin(plaza.angle), np.cos(plaza.angle)], axis=-1)
    lines = plaza.gates[:, :, None] + t[:, None] * across[:, :, None]
    turn = np.linspace(0, 2 * np.pi, LANE_POINTS)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    around = plaza.places[:, :, None] + _ARRIVED * circle
    pillars = plaza.columns[:, :, None] + plaza.thick[..., None, None] * circle
    lanes = np.concatenate([lines, around, pillars], axis=1).astype(np.float32)
    places = np.ones(plaza.places.shape[:2], bool)
    return lanes, np.concatenate([plaza.open, places, plaza.thick > 0], axis=1)
