"""Scenes: what is known of one road user at a moment, and where it goes; and the distributions they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

import numpy as np

from . import plaza, simulation
from .roads import LANE_POINTS, PEDESTRIAN, VEHICLE, Booleans, Floats, Integers, Style, sample
from .simulation import Demand, Traffic

#: Times per second, of history (the present included) and of the future.
RATE_HZ: Final = 5
HISTORY, FUTURE = 11, 30
#: Seconds of simulation before the history begins, so that it does not show how worlds are begun.
_WARM = 4.0
#: Seconds ahead of the focal road user where the map is centred.
_AHEAD = 1.5


@dataclass(frozen=True)
class Scenes:
    """B scenes in the frame of their focal road user: it is at the origin at the present, and looks along x.

    Attributes:
        agents: float32[B, N, HISTORY, 2], metres; the focal one is the first, the others follow by distance. 0 where
            nothing was seen.
        agents_mask: bool[B, N, HISTORY]: whether it was seen.
        lanes: float32[B, L, LANE_POINTS, 2], polylines of the map by distance; ``lanes_mask``: bool[B, L, LANE_POINTS].
        future: float32[B, FUTURE, 2], of the focal one; ``future_mask``: bool[B, FUTURE].
        kind: int64[B], of the focal one.
        decision: bool[B], whether its way parts from others in the future.
        world: int64[B]: scenes with the same number are of the same moment of the same world.
    """

    agents: Floats
    agents_mask: Booleans
    lanes: Floats
    lanes_mask: Booleans
    future: Floats
    future_mask: Booleans
    kind: Integers
    decision: Booleans
    world: Integers

    def __len__(self) -> int:
        return len(self.agents)

    def take(self, rows: Any) -> Self:
        """Some of them."""
        return type(self)(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @property
    def shown(self) -> dict[str, Any]:
        """What may be shown: history, neighbours and map."""
        names = ("agents", "agents_mask", "lanes", "lanes_mask")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Distribution:
    """Where scenes come from.

    Attributes:
        style: of the road graphs; None: a plaza.
        demand: who is there.
        noise: standard deviation of observed positions, m, which is correlated over time as a tracker's.
        occlusion: whether vehicles hide what is behind them from an observer.
        late: share of neighbours that are seen for a part of the history only.
        short: whether the first half of the history of all is missing.
        decisions: how much more often a focal road user is chosen if its way parts from others in the future.
        moves: metres that a focal road user goes at least, but for one in ten.
        worlds_per_graph, scenes_per_world: how often a road graph and a world are used.
    """

    style: Style | None
    demand: Demand
    noise: float = 0.05
    occlusion: bool = True
    late: float = 0.15
    short: bool = False
    decisions: float = 1.0
    moves: float = 4.0
    kinds: Mapping[int, float] = field(default_factory=lambda: {VEHICLE: 1.0})
    worlds_per_graph: int = 4
    scenes_per_world: int = 3


_JUNCTIONS = {"crossing": 0.6, "tee": 0.28, "road": 0.12}
DISTRIBUTIONS: Final[Mapping[str, Distribution]] = {
    "city_dense": Distribution(
        Style(_JUNCTIONS, (8.0, 11.5), signals=0.5, spacing=2.5),
        Demand(vehicles=22, headway=(0.8, 1.6)),
        decisions=2.5,
    ),
    "arterial_turns": Distribution(
        Style(_JUNCTIONS, (10.0, 16.5), (1, 2), signals=0.7, spacing=3.2, approach=95.0),
        Demand(vehicles=14, impulses=0.01),
        decisions=3.0,
    ),
    "mixed_short": Distribution(
        Style({"crossing": 0.7, "tee": 0.3}, (8.0, 12.0), cyclists=True, pedestrians=True, spacing=2.5),
        Demand(vehicles=10, cyclists=4, pedestrians=8),
        short=True,
        decisions=5.0,
        moves=3.0,
        kinds={0: 1.0, 1: 2.0, 2: 1.0},
        worlds_per_graph=6,
    ),
    "highway_merge": Distribution(
        Style({"highway": 1.0}, (24.0, 32.0), (2, 3), spacing=6.5),
        Demand(vehicles=16, impulses=0.03, upstream=1.0, headway=(0.8, 1.7), room=1.7),
        noise=0.08,
        decisions=6.0,
        worlds_per_graph=3,
    ),
    "roundabouts": Distribution(
        Style({"roundabout": 1.0}, (9.0, 14.0), spacing=2.5, approach=70.0),
        Demand(vehicles=14),
    ),
    "plaza": Distribution(
        None,
        Demand(vehicles=0, pedestrians=20),
        noise=0.03,
        moves=2.0,
        kinds={PEDESTRIAN: 1.0},
        worlds_per_graph=1,
        scenes_per_world=4,
    ),
}


def draw(name: str, count: int, agents: int, lanes: int, generator: np.random.Generator) -> Scenes:
    """Scenes of one distribution, from worlds that no other call has.

    Args:
        name: one of ``DISTRIBUTIONS``.
        count: B.
        agents: N, with the focal one.
        lanes: L.
        generator: all randomness.
    """
    parts: list[Scenes] = []
    worlds = 0
    while sum(map(len, parts)) < count:
        missing = count - sum(map(len, parts))
        found = _some(DISTRIBUTIONS[name], missing, agents, lanes, generator)
        parts.append(found.take(slice(None)))
        object.__setattr__(parts[-1], "world", parts[-1].world + worlds)
        worlds = int(parts[-1].world.max(initial=worlds)) + 1
    joined = {each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Scenes)}
    return Scenes(**joined).take(slice(count))


def traffic(kind: Distribution, worlds: int, generator: np.random.Generator) -> tuple[Traffic, Floats, Booleans]:
    """Simulated worlds, and their maps: float32[W, L, LANE_POINTS, 2] and bool[W, L]."""
    times = HISTORY + FUTURE
    if kind.style is None:
        return plaza.simulate(worlds, kind.demand.pedestrians, times, _WARM, generator)
    roads = sample(kind.style, -(-worlds // kind.worlds_per_graph), generator)
    graph = np.arange(worlds) // kind.worlds_per_graph
    found = simulation.simulate(roads, kind.demand, graph, times, _WARM, generator)
    return found, roads.lanes[graph], roads.lanes_valid[graph]


def _some(kind: Distribution, count: int, agents: int, lanes: int, generator: np.random.Generator) -> Scenes:
    """About as many scenes as are wanted, without the worlds in which two road users touch."""
    worlds = -(-count // kind.scenes_per_world) + 2
    found, map_lanes, map_valid = traffic(kind, worlds, generator)
    intact = np.logical_not(touching(found).any(axis=-1))
    world, focal = _focal(kind, found, intact, generator)
    now = HISTORY - 1
    noise = kind.noise * _correlated(found.position[:, :, :HISTORY].shape, generator)
    seen = found.present[:, :, :HISTORY] & _visible(kind, found, generator)
    observed = found.position[:, :, :HISTORY] + noise
    origin = observed[world, focal, now]
    heading = found.heading[world, focal, now] + np.radians(1.0) * generator.standard_normal(len(world))
    seen_own = np.ones((len(world), HISTORY), bool)
    if kind.short:
        seen_own[:, : HISTORY // 2] = False

    # The focal one, then the nearest others that are seen.
    apart = np.linalg.norm(observed[world, :, now] - origin[:, None], axis=-1)
    apart = np.where(seen[world].any(axis=-1) & seen[world][..., now], apart, 1e5 + apart)
    apart[np.arange(len(world)), focal] = -1.0
    order = np.argsort(apart, axis=1)[:, :agents]
    rows = world[:, None]
    position, mask = observed[rows, order], seen[rows, order]
    mask &= (np.take_along_axis(apart, order, axis=1) < 80.0)[..., None]
    mask[:, 0] = seen_own
    tracks = _framed(position, origin, heading) * mask[..., None]
    short = agents - tracks.shape[1]
    if short > 0:
        tracks = np.pad(tracks, [(0, 0), (0, short), (0, 0), (0, 0)])
        mask = np.pad(mask, [(0, 0), (0, short), (0, 0)])

    polylines = _framed(map_lanes[world], origin, heading)
    ahead = np.stack([found.speed[world, focal, now] * _AHEAD, np.zeros(len(world))], axis=-1)
    far = np.linalg.norm(polylines - ahead[:, None, None], axis=-1).min(axis=-1)
    far = np.where(map_valid[world], far, 1e5)
    order = np.argsort(far, axis=1, kind="stable")[:, :lanes]
    valid = np.take_along_axis(far, order, axis=1) < 1e5
    chosen = polylines[np.arange(len(world))[:, None], order] * valid[..., None, None]
    if lanes > chosen.shape[1]:
        missing = lanes - chosen.shape[1]
        chosen = np.pad(chosen, [(0, 0), (0, missing), (0, 0), (0, 0)])
        valid = np.pad(valid, [(0, 0), (0, missing)])

    future = _framed(found.position[world, focal, HISTORY:], origin, heading)
    fork = found.fork[world, focal]
    return Scenes(
        tracks.astype(np.float32),
        mask,
        chosen.astype(np.float32),
        np.repeat(valid[..., None], LANE_POINTS, axis=-1),
        future.astype(np.float32),
        np.ones(future.shape[:2], bool),
        found.kind[world, focal],
        decides(fork),
        world,
    )


def decides(fork: Floats) -> Booleans:
    """Whether a way parts from others in the future, from the way to the fork float32[..., T]."""
    result: Booleans = (fork[..., HISTORY - 1] > 0.0) & np.isfinite(fork[..., HISTORY - 1]) & (fork[..., -1] < 0.0)
    return result


def _focal(
    kind: Distribution, found: Traffic, intact: Booleans, generator: np.random.Generator
) -> tuple[Integers, Integers]:
    """World and number of focal road users: present all the time, most of them on the move, several per world."""
    now = HISTORY - 1
    gone = np.linalg.norm(found.position[:, :, -1] - found.position[:, :, now], axis=-1)
    weight = np.where(gone > kind.moves, 1.0, 0.03) * np.where(decides(found.fork), kind.decisions, 1.0)
    weight *= sum((found.kind == number) * share for number, share in kind.kinds.items())
    weight *= found.present.all(axis=-1) & intact[:, None]
    key = np.where(weight > 0, generator.exponential(size=weight.shape) / np.maximum(weight, 1e-9), np.inf)
    order = np.argsort(key, axis=1)[:, : kind.scenes_per_world]
    fits = np.isfinite(np.take_along_axis(key, order, axis=1))
    world = np.broadcast_to(np.arange(len(order))[:, None], order.shape)
    return world[fits], order[fits]


def _correlated(shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """Normal noise, the same along neighbouring times but for a tenth: [W, A, T, 2]."""
    noise = generator.standard_normal(shape).astype(np.float32)
    for t in range(1, shape[2]):
        noise[:, :, t] = 0.95 * noise[:, :, t - 1] + np.float32(np.sqrt(1 - 0.95**2)) * noise[:, :, t]
    return noise


def _visible(kind: Distribution, found: Traffic, generator: np.random.Generator) -> Booleans:
    """bool[W, A, HISTORY]: what an observer sees, who is a road user of that world."""
    worlds, users = found.kind.shape
    seen = np.ones((worlds, users, HISTORY), bool)
    if kind.occlusion:
        rows = np.arange(worlds)
        observer = (generator.random((worlds, users)) + found.present[..., HISTORY - 1]).argmax(axis=1)
        eye = found.position[rows, observer, :HISTORY][:, None]  # [W, 1, T, 2]
        position = found.position[:, :, :HISTORY]
        line = position - eye
        length = np.linalg.norm(line, axis=-1)
        direction = line / np.maximum(length, 1e-3)[..., None]
        blocker = (position - eye)[:, None]  # [W, 1, A, T, 2]
        along = (blocker * direction[:, :, None]).sum(axis=-1)
        beside = np.abs(blocker[..., 0] * direction[:, :, None, :, 1] - blocker[..., 1] * direction[:, :, None, :, 0])
        wide = 0.5 * found.size[:, None, :, None, 1]
        hides = (along > 3.0) & (along < length[:, :, None] - 3.0) & (beside < wide)
        hides &= found.present[:, None, :, :HISTORY] & (found.kind == VEHICLE)[:, None, :, None]
        hides[rows[:, None], :, observer[:, None]] = False
        seen &= ~hides.any(axis=2)
    late = generator.random((worlds, users)) < kind.late
    first = np.where(late, generator.integers(1, HISTORY, (worlds, users)), 0)
    seen &= np.arange(HISTORY) >= first[..., None]
    if kind.short:
        seen[:, :, : HISTORY // 2] = False
    return seen


def _framed(points: Floats, origin: Floats, heading: Floats) -> Floats:
    """Points [B, ..., 2] seen from an origin [B, 2] in a direction [B]."""
    ones = (1,) * (points.ndim - 2)
    moved = points - origin.reshape(-1, *ones, 2)
    c, s = (function(heading).reshape(-1, *ones) for function in (np.cos, np.sin))
    framed: Floats = np.stack([c * moved[..., 0] + s * moved[..., 1], c * moved[..., 1] - s * moved[..., 0]], axis=-1)
    return framed


def touching(found: Traffic) -> Booleans:
    """bool[W, A]: who touches another one at a recorded time: vehicles and cyclists as boxes.

    Two boxes are apart if they are apart along the axis of one of them (the separating-axis theorem).
    """
    wheels = np.flatnonzero((found.kind != PEDESTRIAN).any(axis=0))
    hit = np.zeros(found.kind.shape, bool)
    if len(wheels) < 2:
        return hit
    position, present, heading = (each[:, wheels] for each in (found.position, found.present, found.heading))
    size = found.size[:, wheels] / 2
    reach = np.linalg.norm(size, axis=-1)
    first, second = np.triu_indices(len(wheels), 1)
    close = (
        np.linalg.norm(position[:, first] - position[:, second], axis=-1)
        < (reach[:, first] + reach[:, second])[..., None]
    )
    w, pair, t = np.nonzero(close & present[:, first] & present[:, second])
    i, j = first[pair], second[pair]
    apart = position[w, i, t] - position[w, j, t]
    axes = []
    for user in (i, j):
        angle = heading[w, user, t]
        axes += [np.stack([np.cos(angle), np.sin(angle)], -1), np.stack([-np.sin(angle), np.cos(angle)], -1)]
    halves = [size[w, i, 0], size[w, i, 1], size[w, j, 0], size[w, j, 1]]
    separate = np.zeros(len(w), bool)
    for axis in axes:
        covered = sum(np.abs((each * axis).sum(-1)) * half for each, half in zip(axes, halves, strict=True))
        separate |= np.abs((apart * axis).sum(-1)) > covered
    for user in (i, j):
        hit[w[~separate], wheels[user[~separate]]] = True
    return hit
