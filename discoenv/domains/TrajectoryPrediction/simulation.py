"""Traffic on road graphs, many worlds at once: drivers, cyclists and pedestrians, at ten steps per second.

Everyone follows a way. How fast is the intelligent driver model (Treiber, Hennecke & Helbing 2000, Phys. Rev. E 62):

    a = a_max (1 - (v / v0)⁴ - (s* / s)²),    s* = s0 + v T + v Δv / (2 √(a_max b))

with the nearest leader on the way, and with the line at which one has to wait: at a red signal, and before a conflict
with another way in which someone else goes first. Lanes are changed where that is safe and worth it (MOBIL: Kesting,
Treiber & Helbing 2007, Transp. Res. Rec. 1999). Pedestrians keep apart by social forces (Helbing & Molnár 1995, Phys.
Rev. E 51).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .roads import CYCLIST, PEDESTRIAN, POINTS, VEHICLE, Booleans, Floats, Integers, Roads

#: Seconds of a step, and steps between two recorded ones.
STEP: Final = 0.1
RECORDED: Final = 2
#: Bounds of accelerations along the way, m/s²: no tyre brakes harder.
BRAKING: Final = 7.0
#: Seconds of a change of lanes; of a signal's cycle, and its green part for each direction.
_CHANGE, _CYCLE, _GREEN = 4.5, 36.0, 15.0
#: Seconds between two looks for a better lane; advantage that is worth a change and politeness; safe deceleration.
_LOOK, _WORTH, _POLITE, _SAFE = 0.5, 0.2, 0.3, 2.5
#: A red light or a line is ignored where stopping would take more than this, m/s².
_COMMITTED = 4.0
_ACCEPTED = {VEHICLE: (4.0, 4.9, 1.7, 1.95), CYCLIST: (1.6, 1.9, 0.55, 0.7), PEDESTRIAN: (0.4, 0.5, 0.4, 0.5)}


@dataclass(frozen=True)
class Demand:
    """How many road users there are in a world, and how they behave.

    Attributes:
        vehicles, cyclists, pedestrians: most of each kind; fewer, if there is no room.
        speed: mean and standard deviation of desired speeds, in units of the limit.
        headway: least and greatest desired time gap, s.
        upstream: share that begins before the junction.
        room: seconds between two on the same lane in the beginning.
        impulses: changes of lanes per second without a reason that others see.
    """

    vehicles: int = 14
    cyclists: int = 0
    pedestrians: int = 0
    speed: tuple[float, float] = (0.97, 0.1)
    headway: tuple[float, float] = (0.9, 1.8)
    upstream: float = 0.75
    impulses: float = 0.0
    room: float = 1.2


@dataclass(frozen=True)
class Traffic:
    """What was recorded of W worlds with A road users at T times.

    Attributes:
        position: float32[W, A, T, 2].
        heading: float32[W, A, T], radians.
        speed, acceleration: float32[W, A, T], along the way.
        gap: float32[W, A, T], to the leader, bumper to bumper; inf: there is none.
        present: bool[W, A, T]: whether it is there, and not beyond the end of its way.
        fork: float32[W, A, T]: how far it has to go until its way parts from others; inf: nowhere.
        kind: int[W, A].
        size: float32[W, A, 2], length and width.
    """

    position: Floats
    heading: Floats
    speed: Floats
    acceleration: Floats
    gap: Floats
    present: Booleans
    fork: Floats
    kind: Integers
    size: Floats


def simulate(
    roads: Roads, demand: Demand, graph: Integers, times: int, warm_s: float, draw: np.random.Generator
) -> Traffic:
    """Simulate W worlds.

    Args:
        roads: the graphs.
        demand: who is there.
        graph: int[W], the graph of each world.
        times: T, recorded times, ``STEP * RECORDED`` apart.
        warm_s: seconds before the first of them.
        draw: all randomness.
    """
    world = _World(roads, demand, graph, draw)
    records: list[tuple[Any, ...]] = []
    warm = round(warm_s / STEP)
    for step in range(warm + (times - 1) * RECORDED + 1):
        if step >= warm and (step - warm) % RECORDED == 0:
            records.append(world.record())
        world.step(step * STEP)
    columns = [np.stack(column, axis=2).astype(np.float32) for column in zip(*records, strict=True)]
    position, heading, speed, acceleration, gap, present, fork = columns
    size = np.stack([world.length, world.width], axis=-1)
    return Traffic(
        position, heading, speed, acceleration, gap, present.astype(bool), fork, world.kind, size.astype(np.float32)
    )


class _World:
    """W worlds with A road users: where each of them is, and what it does next. Arrays are [W, A] or [W, A, A]."""

    def __init__(self, roads: Roads, demand: Demand, graph: Integers, draw: np.random.Generator) -> None:
        kinds = [VEHICLE] * demand.vehicles + [CYCLIST] * demand.cyclists + [PEDESTRIAN] * demand.pedestrians
        worlds, users = len(graph), len(kinds)
        self.roads, self.demand, self.draw = roads, demand, draw
        self.graph = graph[:, None]
        self.spacing = roads.spacing[graph][:, None]
        self.kind = np.broadcast_to(np.array(kinds), (worlds, users))
        self.vehicles, self.walkers = demand.vehicles, slice(demand.vehicles + demand.cyclists, users)
        self.walking = self.kind == PEDESTRIAN
        shape = (worlds, users)
        bounds = np.array([_ACCEPTED[kind] for kind in kinds], np.float32)
        self.length = draw.uniform(bounds[:, 0], bounds[:, 1], shape).astype(np.float32)
        self.width = draw.uniform(bounds[:, 2], bounds[:, 3], shape).astype(np.float32)
        factor = demand.speed[0] + demand.speed[1] * draw.standard_normal(shape).clip(-2.0, 2.0)
        self.factor = factor.astype(np.float32)
        slow = np.where(self.walking, 1.34 + 0.26 * draw.standard_normal(shape).clip(-2, 2), np.inf)
        slow = np.where(self.kind == CYCLIST, 4.8 + 0.8 * draw.standard_normal(shape).clip(-2, 2), slow)
        self.slow = slow.astype(np.float32)  # what legs can do
        self.headway = draw.uniform(*demand.headway, shape).astype(np.float32)
        self.strength = np.where(self.walking, 1.0, draw.uniform(1.0, 2.0, shape)).astype(np.float32)
        self.comfort = draw.uniform(1.5, 2.5, shape).astype(np.float32)
        self.standing = np.where(self.walking, 0.4, np.where(self.kind == CYCLIST, 1.0, 2.0)).astype(np.float32)
        self.margin = draw.uniform(0.6, 2.2, shape).astype(np.float32)
        self.cycle = draw.uniform(0.0, _CYCLE, worlds)[:, None]
        # The lateral position wanders with the distance that is covered.
        spread = np.where(self.walking, 0.5, 0.14)
        self.bias = (spread * draw.standard_normal(shape)).clip(-1.0, 1.0).astype(np.float32)
        self.weave = draw.uniform(0.05, 0.22, shape).astype(np.float32)
        self.wave = np.where(self.walking, draw.uniform(6.0, 14.0, shape), draw.uniform(50.0, 110.0, shape))
        self.wave = self.wave.astype(np.float32)
        self.turn = draw.uniform(0.0, 2 * np.pi, shape).astype(np.float32)
        self.noise = np.zeros(shape, np.float32)
        self.aside = np.zeros(shape, np.float32)  # by which pedestrians step aside
        self.a = np.zeros(shape, np.float32)
        self.gap = np.full(shape, np.inf, np.float32)
        self.waited = np.zeros(shape, np.float32)
        self.moved = np.full(shape, 1e3, np.float32)  # seconds since a change of lanes began
        self.shift = np.zeros(shape, np.float32)  # how far to the left of the new way it began
        self._place()
        self.old_way = self.way.copy()
        self.old_s = self.s.copy()
        self._pairs()

    # --- the beginning ------------------------------------------------------------------------------------------------

    def _place(self) -> None:
        """Choose ways and places, far enough from others."""
        roads, draw = self.roads, self.draw
        worlds, users = self.kind.shape
        reach = self.spacing * (POINTS - 1)
        self.way = np.zeros((worlds, users), np.int64)
        self.s = np.zeros((worlds, users), np.float32)
        self.v = np.zeros((worlds, users), np.float32)
        self.there = np.zeros((worlds, users), bool)
        graph, tries = self.graph, 12
        stretch = np.where(np.isfinite(roads.begin), roads.begin, np.inf).min(axis=-1)
        stretch_end = np.where(np.isfinite(roads.end), roads.end, -np.inf).max(axis=-1)
        place = np.full((worlds, users, 2), 1e6, np.float32)
        rows = np.arange(worlds)[:, None]
        for user in range(users):
            weight = roads.weight[graph[:, 0]] * (roads.kind[graph[:, 0]] == self.kind[:, user, None])
            total = weight.sum(axis=1, keepdims=True)
            there = total[:, 0] > 0
            chance = np.cumsum(weight / np.maximum(total, 1e-9), axis=1)
            way = (
                (draw.random((worlds, tries))[..., None] > chance[:, None, :]).sum(axis=-1).clip(0, weight.shape[1] - 1)
            )
            first, last = stretch[graph, way], stretch_end[graph, way]
            before = draw.random((worlds, tries)) < self.demand.upstream
            ahead = np.isfinite(first)
            low = np.where(before | ~ahead, self.spacing, last + 3.0)
            high = np.where(before & ahead, np.minimum(first, roads.stop[graph, way]) - 8.0, 0.8 * reach)
            s = low + draw.random((worlds, tries)) * np.maximum(high - low, 0.0)
            m = (s / self.spacing).astype(np.int64).clip(0, POINTS - 2)
            speed = np.minimum(roads.limit[graph, way, m] * self.factor[:, user, None], self.slow[:, user, None])
            speed = speed * draw.uniform(0.85, 1.0, (worlds, tries))
            spot = self._at(graph, way, s)
            apart = np.linalg.norm(spot[:, :, None] - place[:, None, :user], axis=-1)
            enough = np.where(self.walking[:, user, None], 1.6, 7.0)[..., None]
            fits = (apart > enough).all(axis=-1) & (high > low)
            mine = roads.along[
                graph[..., None], way[..., None], self.way[:, None, :user], self._m(slice(user))[:, None]
            ]
            behind = np.isfinite(mine) & self.there[:, None, :user]
            between = np.abs(mine - s[..., None])
            wanted = 7.5 + self.demand.room * np.maximum(speed[..., None], self.v[:, None, :user])
            fits &= self.walking[:, user, None] | ~(behind & (between < wanted)).any(axis=-1)
            best = fits.argmax(axis=1)
            self.way[:, user], self.s[:, user] = way[rows[:, 0], best], s[rows[:, 0], best]
            self.v[:, user] = speed[rows[:, 0], best]
            self.there[:, user] = fits.any(axis=1) & there
            place[:, user] = np.where(self.there[:, user, None], spot[rows[:, 0], best], 1e6)

    def _m(self, users: slice) -> Integers:
        found: Integers = (self.s[:, users] / self.spacing).astype(np.int64).clip(0, POINTS - 1)
        return found

    def _at(self, graph: Integers, way: Integers, s: Floats) -> Floats:
        """Points float32[..., 2] of ways, on the cubic curve through four neighbours (Catmull & Rom)."""
        place = s / self.spacing
        m = place.astype(np.int64).clip(1, POINTS - 3)
        t = (place - m)[..., None].astype(np.float32)
        before, start, end, after = (self.roads.points[graph, way, m + shift] for shift in (-1, 0, 1, 2))
        linear, cubic = end - before, 3.0 * (start - end) + after - before
        square = 2.0 * before - 5.0 * start + 4.0 * end - after
        found: Floats = start + 0.5 * t * (linear + t * (square + t * cubic))
        return found

    def _pairs(self) -> None:
        """What the tables of conflicts say of the present ways."""
        roads, key = self.roads, (self.graph[..., None], self.way[:, :, None], self.way[:, None, :])
        self.begin, self.end = roads.begin[key], roads.end[key]
        self.other_begin, self.other_end = roads.other_begin[key], roads.other_end[key]
        self.first = roads.yields[key]
        self.conflict = np.isfinite(self.begin)

    # --- a step -------------------------------------------------------------------------------------------------------

    def step(self, time: float) -> None:
        """Everyone sees the same moment, decides, and moves."""
        desired = self._desired()
        along, speed = self._leaders(self.way, self.s)
        acceleration = self._idm(desired, along, speed, self.standing, self.headway)
        self.gap = along
        changing = self.moved < _CHANGE
        if changing.any():  # who leaves a lane still watches whom it follows there
            old, old_speed = self._leaders(self.old_way, self.old_s)
            careful = self._idm(desired, old, old_speed, self.standing, 0.6 * self.headway)
            acceleration = np.where(
                changing & (self.moved < 0.5 * _CHANGE), np.minimum(acceleration, careful), acceleration
            )
        line = self._line(time)
        wait = self._idm(desired, line, np.zeros_like(line), 0.5, 0.5 * self.headway)
        acceleration = np.minimum(acceleration, wait)
        self.noise += -0.12 * self.noise + 0.09 * self.draw.standard_normal(self.noise.shape, np.float32)
        moving = self.v > 0.5
        acceleration = acceleration + np.where(moving, self.noise, 0.0)
        if self.walkers.stop > self.walkers.start:
            acceleration = self._social(acceleration)
        acceleration = acceleration.clip(-BRAKING, self.strength)
        before = self.v
        self.v = np.maximum(before + acceleration * STEP, 0.0).astype(np.float32)
        self.a = (self.v - before) / np.float32(STEP)
        covered = 0.5 * (before + self.v) * np.float32(STEP)
        self.s += covered
        self.old_s += covered
        self.moved += np.float32(STEP)
        self.waited = np.where(self.v < 0.5, self.waited + np.float32(STEP), 0.0)
        self.there &= self.s < self.spacing * (POINTS - 1.5)
        if round(time / STEP) % round(_LOOK / STEP) == 0 and (self.roads.beside >= 0).any():
            self._change(desired)

    def _desired(self) -> Floats:
        m = (self.s / self.spacing).astype(np.int64).clip(0, POINTS - 1)
        limit = self.roads.limit[self.graph, self.way, m] * self.factor
        desired: Floats = np.minimum(limit, self.slow)
        return desired

    def _leaders(self, way: Integers, s: Floats, own_s: Floats | None = None) -> tuple[Floats, Floats]:
        """Distance to the next one on a way, bumper to bumper, and its speed; inf: nobody is there."""
        ahead = self._ahead(way, s, self.way, self.s)
        changing = self.moved < 0.6 * _CHANGE
        if changing.any():  # they are on two lanes
            other = self._ahead(way, s, self.old_way, self.old_s)
            ahead = np.minimum(ahead, np.where(changing[:, None, :], other, np.inf))
        if self.walkers.stop > self.walkers.start:  # one walks around another
            ahead[:, self.walkers] = np.inf
            ahead[:, :, self.walkers] = np.inf
        nearest = ahead.argmin(axis=-1)
        gap = np.take_along_axis(ahead, nearest[..., None], -1)[..., 0]
        return gap, np.take_along_axis(self.v, nearest, -1)

    def _ahead(self, way: Integers, s: Floats, other_way: Integers, other_s: Floats) -> Floats:
        """[W, A, A]: how far the second one is ahead of the first on the first one's way, less half of both lengths."""
        place = other_s / self.spacing
        m = place.astype(np.int64).clip(0, POINTS - 1)
        along = self.roads.along[self.graph[..., None], way[:, :, None], other_way[:, None, :], m[:, None, :]]
        ahead = along + ((place - m) * self.spacing)[:, None, :] - s[:, :, None]
        ahead[:, np.arange(ahead.shape[1]), np.arange(ahead.shape[1])] = np.inf
        ahead = np.where((ahead > 0.0) & self.there[:, None, :], ahead, np.inf)
        gap: Floats = ahead - 0.5 * (self.length[:, :, None] + self.length[:, None, :])
        return gap

    def _idm(self, desired: Floats, gap: Floats, speed: Floats, standing: Any, headway: Floats) -> Floats:
        """The intelligent driver model, m/s²."""
        v = self.v
        free = 1.0 - (v / np.maximum(desired, 0.3)) ** 4
        free = np.where(v > desired, -0.9 * np.minimum(v - desired, 3.0), free * self.strength)
        closing = v * (v - speed) / (2.0 * np.sqrt(self.strength * self.comfort))
        wanted = standing + np.maximum(v * headway + closing, 0.0)
        brake = self.strength * (wanted / np.maximum(gap, 0.2)) ** 2
        acceleration: Floats = np.minimum(free, self.strength) - brake
        return acceleration

    def _line(self, time: float) -> Floats:
        """Distance to where one has to wait, from the front; inf: nowhere."""
        v, half = self.v, 0.5 * self.length
        # Conflicts: [W, first, second].
        mine = self.begin - (self.s + half)[:, :, None]
        before = self.conflict & (mine > 0.0) & self.there[:, None, :]
        to_it = self.other_begin - (self.s + half)[:, None, :]
        gone = (self.s - half)[:, None, :] > self.other_end
        inside = (to_it <= 0.0) & ~gone
        arrives = to_it / np.maximum(v, 1.0)[:, None, :]
        clears = (self.end - self.s[:, :, None] + self.length[:, :, None]) / np.maximum(v, 3.0)[:, :, None]
        slow = self.walking[:, :, None]
        clears = np.where(slow, (self.end - self.s[:, :, None]) / np.maximum(v, 1.2)[:, :, None], clears)
        patience = np.where(self.waited > 5.0, 0.3, 1.0) * self.margin
        soon = arrives < clears + patience[:, :, None]
        # Who stands far from the conflict, at a signal for example, is not waited for.
        soon &= ~((v < 0.5)[:, None, :] & (to_it > 4.0))
        must = before & ~gone & (inside | (self.first & soon))
        line = np.where(must, mine - 1.0, np.inf).min(axis=-1)
        # Signals.
        stop = self.roads.stop[self.graph, self.way] - (self.s + half)
        phase = self.roads.phase[self.graph, self.way]
        now = (time + self.cycle + np.where(phase == 1, 0.5 * _CYCLE, 0.0)) % _CYCLE
        red = (phase >= 0) & (now > _GREEN) & (stop > 0.0)
        line = np.minimum(line, np.where(red, stop, np.inf))
        # Those who would wait for a conflict behind their line wait at the line.
        line = np.where(np.isfinite(line) & (stop > 0.0), np.minimum(line, stop), line)
        ends = self.roads.ends[self.graph, self.way]
        if ends.any():
            line = np.where(ends & (stop > 0.0) & (self.moved > _CHANGE), np.minimum(line, stop), line)
        committed = v * v > 2.0 * _COMMITTED * np.maximum(line, 0.05)
        committed &= ~(inside & before & (mine < (line + 2.0)[:, :, None])).any(axis=-1) | (line <= 0.0)
        found: Floats = np.where(committed, np.inf, np.maximum(line, 0.2))
        return found

    def _social(self, acceleration: Floats) -> Floats:
        """Pedestrians push each other away (2 m/s² exp(-distance / 0.5 m), twice as strong in front)."""
        part = self.walkers
        position, heading = (each[:, part] for each in self._poses())
        apart = position[:, :, None] - position[:, None, :]
        distance = np.linalg.norm(apart, axis=-1) + 1e-3
        there = self.there[:, part]
        ahead = np.stack([np.cos(heading), np.sin(heading)], axis=-1)[:, :, None]
        along, left = -(apart * ahead).sum(axis=-1), apart[..., 1] * ahead[..., 0] - apart[..., 0] * ahead[..., 1]
        push = 2.0 * np.exp((0.6 - distance) / 0.5) * np.where(along > 0, 1.0, 0.5)
        push *= there[:, None, :] & (distance > 2e-3)
        acceleration = acceleration.copy()
        acceleration[:, part] += (-push * along / distance).sum(axis=-1).clip(-1.5, 1.0)
        sideways = (push * left / distance).sum(axis=-1).clip(-1.0, 1.0)
        self.aside[:, part] += np.float32(STEP) * (sideways - 0.25 * self.aside[:, part])
        self.aside[:, part] = self.aside[:, part].clip(-1.2, 1.2)
        return acceleration

    def _change(self, desired: Floats) -> None:
        """Look for a better lane: MOBIL, which counts what the new follower loses."""
        roads = self.roads
        zone = roads.zone[self.graph, self.way]
        ends = roads.ends[self.graph, self.way]
        able = (
            self.there
            & (self.moved > 1.5 * _CHANGE)
            & (self.s > zone[..., 0])
            & (self.s < zone[..., 1])
            & (self.v > 3.0)
        )
        here, here_speed = self._leaders(self.way, self.s)
        stays = self._idm(desired, here, here_speed, self.standing, self.headway)
        m = self._m(slice(None))
        for side in self.draw.permutation(2):
            target = roads.beside[self.graph, self.way, side]
            fits = able & (target >= 0)
            target = np.maximum(target, 0)
            s = roads.across[self.graph, self.way, side, m]
            s = s + (self.s - m * self.spacing)
            gap, speed = self._leaders(target, s)
            goes = self._idm(desired, gap, speed, self.standing, self.headway)
            behind = self._behind(target, s)
            follower = behind.argmin(axis=-1)
            follows = np.take_along_axis(behind, follower[..., None], -1)[..., 0]
            their_v = np.take_along_axis(self.v, follower, -1)
            wanted = 2.0 + np.maximum(their_v + their_v * (their_v - self.v) / 3.5, 0.0)
            costs = 1.5 * (wanted / np.maximum(follows, 0.2)) ** 2
            impulse = self.draw.random(self.v.shape) < self.demand.impulses * _LOOK
            worth = goes - stays - _POLITE * costs > np.where(ends, -3.0, np.where(impulse, -0.5, _WORTH))
            safe = (gap > 2.0 + 0.4 * self.v) & (goes > -_SAFE) & (costs < _SAFE) & (follows > 2.0 + 0.3 * their_v)
            go = fits & worth & safe
            # Two who want the same place at once: the one with the lower number goes.
            for user in range(go.shape[1]):
                clash = go[:, :user] & (np.abs(s[:, :user] - s[:, user, None]) < 25.0)
                go[:, user] &= ~clash.any(axis=1)
            if not go.any():
                continue
            place = self._poses()[0]
            self.old_way = np.where(go, self.way, self.old_way)
            self.old_s = np.where(go, self.s, self.old_s)
            self.way = np.where(go, target, self.way)
            self.s = np.where(go, s, self.s).astype(np.float32)
            new = self._at(self.graph, self.way, self.s)
            tangent = self._at(self.graph, self.way, self.s + 0.5) - new
            tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
            beside = place - new
            left = tangent[..., 0] * beside[..., 1] - tangent[..., 1] * beside[..., 0] - self._lateral()
            self.shift = np.where(go, left, self.shift).astype(np.float32)
            self.moved = np.where(go, 0.0, self.moved).astype(np.float32)
            able &= ~go
            self._pairs()
            m = self._m(slice(None))

    def _behind(self, way: Integers, s: Floats) -> Floats:
        """[W, A, A]: how far the second one is behind the first, were that at s on another way."""
        m = (s / self.spacing).astype(np.int64).clip(0, POINTS - 1)
        along = self.roads.along[self.graph[..., None], self.way[:, None, :], way[:, :, None], m[:, :, None]]
        behind = along + (s - m * self.spacing)[:, :, None] - self.s[:, None, :]
        behind = np.where((behind > 0.0) & self.there[:, None, :], behind, np.inf)
        behind[:, np.arange(behind.shape[1]), np.arange(behind.shape[1])] = np.inf
        gap: Floats = behind - 0.5 * (self.length[:, :, None] + self.length[:, None, :])
        return gap

    # --- what is seen -------------------------------------------------------------------------------------------------

    def _lateral(self) -> Floats:
        """How far to the left of its way everyone wants to be."""
        found: Floats = self.bias + self.weave * np.sin(2 * np.pi * self.s / self.wave + self.turn) + self.aside
        return found

    def _poses(self) -> tuple[Floats, Floats]:
        """Positions float32[W, A, 2] and headings float32[W, A]."""
        ahead = 0.4
        points = self._at(self.graph, self.way, self.s)
        tangent = self._at(self.graph, self.way, self.s + ahead) - self._at(self.graph, self.way, self.s - ahead)
        tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
        left = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
        part = (self.moved / _CHANGE).clip(0.0, 1.0)
        rest = 1.0 - part**3 * (10.0 - 15.0 * part + 6.0 * part * part)
        beside = self._lateral() + self.shift * rest
        slope = self.weave * np.cos(2 * np.pi * self.s / self.wave + self.turn) * 2 * np.pi / self.wave
        slope = slope - self.shift * 30.0 * part**2 * (1.0 - part) ** 2 / (_CHANGE * np.maximum(self.v, 2.0))
        heading = np.arctan2(tangent[..., 1], tangent[..., 0]) + np.arctan(slope)
        return points + beside[..., None] * left, heading

    def record(self) -> tuple[Any, ...]:
        """Position, heading, speed, acceleration, gap, presence and the way to the fork, of everyone."""
        position, heading = self._poses()
        fork = self.roads.fork[self.graph, self.way] - self.s
        return position, heading, self.v, self.a, self.gap, self.there, fork
