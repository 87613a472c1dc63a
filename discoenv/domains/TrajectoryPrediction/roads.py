"""Road graphs at random: ways that road users follow, who yields to whom, and the lanes that a map shows.

A graph has up to ``WAYS`` ways, polylines of ``POINTS`` points at equal distances. Everything that the simulation needs
to know of two ways is computed once per graph, see :class:`Roads`. Traffic keeps right. Units are metres and seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.floating]]
Integers = np.ndarray[Any, np.dtype[np.integer]]
Booleans = np.ndarray[Any, np.dtype[np.bool_]]

#: Ways of a graph, and points of a way.
WAYS, POINTS = 28, 72
#: Points of a lane on the map, and every how many points of a way one of them lies.
LANE_POINTS, LANE_STRIDE = 10, 2
#: Kinds of road users.
VEHICLE, CYCLIST, PEDESTRIAN = range(3)
#: Ways closer than this are the same lane, if they have the same direction; closer than the second they conflict.
_SAME, _CONFLICT = 2.0, 2.5
#: Longest stretch on which two ways that merge are in conflict; behind it one follows the other.
_MERGING = 12.0
#: Lateral acceleration in curves that drivers accept, and deceleration with which they prepare for them, m/s².
_LATERAL, _PREPARING = 2.2, 1.2


@dataclass
class Way:
    """One way of a graph.

    Attributes:
        points: float[n, 2], in the order of travel, at any distances.
        kind: ``VEHICLE``, ``CYCLIST`` or ``PEDESTRIAN``.
        limit: speed limit.
        rank: in a conflict the lower rank yields.
        stop: arc length of the line where it waits; infinite: none.
        phase: which half of the signal's cycle is green, 0 or 1; -1: no signal.
        entry: arc length where it joins a roundabout; nan: none, and ranks decide.
        weight: how many of its kind take it.
        beside: numbers of the ways to its left and right that one can change to; -1: none.
        zone: arc lengths between which lanes can be changed.
        ends: the lane ends at the end of the zone, so it has to be left.
    """

    points: Floats
    kind: int = VEHICLE
    limit: float = 14.0
    rank: int = 0
    stop: float = math.inf
    phase: int = -1
    entry: float = math.nan
    weight: float = 1.0
    beside: tuple[int, int] = (-1, -1)
    zone: tuple[float, float] = (0.0, math.inf)
    ends: bool = False


@dataclass(frozen=True)
class Roads:
    """G graphs of P ways with M points each.

    Attributes:
        points: float32[G, P, M, 2].
        spacing: float32[G], distance of neighbouring points.
        limit: float32[G, P, M], speed limits, curves and the preparation for them included.
        valid: bool[G, P].
        kind, phase: int[G, P].
        stop, weight: float32[G, P].
        beside: int[G, P, 2], ``zone``: float32[G, P, 2], ``ends``: bool[G, P].
        along: float32[G, P, P, M]: the arc length on the first way that is nearest to each point of the second one; inf
            where that is no point of the same lane.
        begin, end: float32[G, P, P]: where on the first way its conflict with the second begins and ends; inf: none.
        other_begin, other_end: float32[G, P, P]: where that is on the second way.
        yields: bool[G, P, P]: whether the first way yields to the second one.
        across: float32[G, P, 2, M]: the arc length on the way to the left and right that is nearest to each point.
        fork: float32[G, P]: where a way parts from another one with the same beginning; inf: nowhere.
        lanes: float32[G, L, LANE_POINTS, 2], ``lanes_valid``: bool[G, L].
    """

    points: Floats
    spacing: Floats
    limit: Floats
    valid: Booleans
    kind: Integers
    phase: Integers
    stop: Floats
    weight: Floats
    beside: Integers
    zone: Floats
    ends: Booleans
    along: Floats
    begin: Floats
    end: Floats
    other_begin: Floats
    other_end: Floats
    yields: Booleans
    across: Floats
    fork: Floats
    lanes: Floats
    lanes_valid: Booleans


@dataclass(frozen=True)
class Style:
    """What the graphs of a distribution are like.

    Attributes:
        templates: share of each template, by the names of ``TEMPLATES``.
        limit: lowest and highest speed limit.
        lanes: lowest and highest number of lanes per direction.
        signals: share of junctions with signals.
        cyclists, pedestrians: whether there are ways for them.
        spacing: distance of the points of a way.
        turns: weight of left and right turns beside straight on.
        approach: length of the ways before a junction.
        widths: least and greatest width of a lane.
    """

    templates: Mapping[str, float]
    limit: tuple[float, float]
    lanes: tuple[int, int] = (1, 1)
    signals: float = 0.5
    cyclists: bool = False
    pedestrians: bool = False
    spacing: float = 2.5
    turns: float = 1.0
    approach: float = 75.0
    widths: tuple[float, float] = (3.2, 3.7)


# --- geometry ---------------------------------------------------------------------------------------------------------


def resampled(points: Floats, spacing: float, count: int = POINTS) -> Floats:
    """``count`` points at equal distances along a polyline, from its beginning; it goes on straight where it ends."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    points = points[np.concatenate([[True], steps > 1e-6])]
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    wanted = np.arange(count) * spacing
    found = np.stack([np.interp(wanted, length, points[:, axis]) for axis in range(2)], axis=1)
    beyond = np.maximum(wanted - length[-1], 0.0)[:, None]
    direction = (points[-1] - points[-2]) / np.linalg.norm(points[-1] - points[-2])
    result: Floats = found + beyond * direction
    return result


def length_of(points: Floats) -> float:
    """Arc length of a polyline."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def bezier(start: Floats, before: Floats, end: Floats, after: Floats, count: int = 24) -> Floats:
    """A cubic curve between two points with given directions, nearly a circle if they are at a right angle."""
    handle = 0.39 * np.linalg.norm(end - start)
    controls = np.stack([start, start + handle * before, end - handle * after, end])
    t = np.linspace(0.0, 1.0, count)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    curve: Floats = weights @ controls
    return curve


@dataclass(frozen=True)
class Arm:
    """A road that leaves a junction at ``angle``, ``near`` metres from its middle, with constant curvature.

    ``at(offset)`` is the line that lies ``offset`` to the left of its axis, outwards.
    """

    angle: float
    curvature: float
    near: float
    length: float

    def at(self, offset: float) -> Floats:
        """float[n, 2]."""
        t = np.arange(0.0, self.length + 1e-6, 2.0)
        heading = self.angle + self.curvature * t
        steps = 2.0 * np.stack([np.cos(heading + self.curvature), np.sin(heading + self.curvature)], axis=1)
        axis = self.near * self.direction + np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], axis=0)])
        line: Floats = axis + offset * np.stack([-np.sin(heading), np.cos(heading)], axis=1)
        return line

    @property
    def direction(self) -> Floats:
        """Outwards, at the junction."""
        return np.array([math.cos(self.angle), math.sin(self.angle)])


def _joined(first: Arm, inward: float, second: Arm, outward: float) -> tuple[Floats, float]:
    """From one arm to another, and the arc length at which the junction begins."""
    approach, leaving = first.at(inward)[::-1], second.at(-outward)
    curve = bezier(approach[-1], -first.direction, leaving[0], second.direction)
    return np.concatenate([approach, curve[1:-1], leaving]), length_of(approach)


# --- templates --------------------------------------------------------------------------------------------------------


def _junction(style: Style, draw: np.random.Generator, arms: int) -> list[Way]:
    """Two arms (a road), three or four."""
    width, lanes = draw.uniform(*style.widths), int(draw.integers(style.lanes[0], style.lanes[1] + 1))
    limit = draw.uniform(*style.limit)
    base, jitter = draw.uniform(0.0, 2 * math.pi), 0.2 if arms > 2 else 0.6
    angles = base + np.arange(4)[: arms if arms != 2 else 4] * math.pi / 2
    angles = angles[[0, 2]] if arms == 2 else angles
    angles = angles + draw.uniform(-jitter, jitter, len(angles))
    near = lanes * width + (draw.uniform(5.0, 9.0) if arms > 2 else 4.0)
    bent = draw.uniform(-1.0, 1.0, len(angles)) * (draw.random(len(angles)) < 0.6) / 130.0
    roads = [Arm(a, k, near, style.approach) for a, k in zip(angles, bent, strict=True)]
    signal = arms == 4 and draw.random() < style.signals
    yielding = draw.random() < 0.5
    ways: list[Way] = []
    for number, first in enumerate(roads):
        # The third arm of a T is at a right angle to the first and second or between them: it is the minor road.
        minor = arms > 2 and not signal and number % 2 == 1
        for other, second in enumerate(roads):
            if other == number:
                continue
            turn = (second.angle - first.angle) % (2 * math.pi)
            straight, right = abs(turn - math.pi) < 0.8 or arms == 2, turn < math.pi
            used = range(lanes) if straight else [lanes - 1 if right else 0]
            rank = (3 if straight else 2 if right else 1) + (0 if minor else 10)
            weight = 1.0 if straight else style.turns
            for lane in used:
                points, stop = _joined(first, (lane + 0.5) * width, second, (lane + 0.5) * width)
                waits = signal or minor or not straight
                way = Way(points, VEHICLE, limit, rank, stop - 1.0 if waits else math.inf, weight=weight / len(used))
                way.phase = number % 2 if signal else -1
                if straight and lanes > 1:
                    at = len(ways)
                    way.beside = (at - 1 if lane > 0 else -1, at + 1 if lane + 1 < lanes else -1)
                    way.zone = (0.0, stop - 35.0 if arms > 2 else math.inf)
                ways.append(way)
            edge = lanes * width
            if style.cyclists and (straight or right) and arms > 2:
                points, stop = _joined(first, edge + 1.0, second, edge + 1.0)
                ways.append(Way(points, CYCLIST, 7.0, rank, stop - 1.0, way.phase, weight=weight))
            if style.pedestrians and (straight or right) and arms > 2:
                points, stop = _joined(first, edge + 3.5, second, edge + 3.5)
                crossing = 0 if yielding and not signal else 20
                waits_at = stop - 1.0 if straight and (signal or crossing == 0) else math.inf
                ways.append(Way(points, PEDESTRIAN, 3.0, crossing, waits_at, way.phase, weight=1.0))
    return ways


def _road(style: Style, draw: np.random.Generator) -> list[Way]:
    return _junction(style, draw, 2)


def _tee(style: Style, draw: np.random.Generator) -> list[Way]:
    return _junction(style, draw, 3)


def _crossing(style: Style, draw: np.random.Generator) -> list[Way]:
    return _junction(style, draw, 4)


def _roundabout(style: Style, draw: np.random.Generator) -> list[Way]:
    """One lane, three or four arms."""
    count = int(draw.integers(3, 5))
    angles = draw.uniform(0.0, 2 * math.pi) + np.arange(count) * 2 * math.pi / count
    angles = angles + draw.uniform(-0.15, 0.15, count)
    ring, width, limit = draw.uniform(11.0, 19.0), draw.uniform(*style.widths), draw.uniform(*style.limit)
    bent = draw.uniform(-1.0, 1.0, count) * (draw.random(count) < 0.5) / 120.0
    roads = [Arm(a, k, ring + 12.0, style.approach) for a, k in zip(angles, bent, strict=True)]
    open_, ways = 0.42 * 14.0 / ring + 0.1, []
    for number, first in enumerate(roads):
        approach = first.at(0.75 * width)[::-1]
        for step in range(1, count):
            second = roads[(number + step) % count]
            turn = (second.angle - first.angle) % (2 * math.pi)
            on, off = first.angle + open_, first.angle + turn - open_
            around = np.linspace(on, max(off, on + 0.05), max(2, int(8 * max(off - on, 0.05))))
            circle = ring * np.stack([np.cos(around), np.sin(around)], axis=1)
            tangent = np.stack([-np.sin(around), np.cos(around)], axis=1)
            leaving = second.at(-0.75 * width)
            joining = bezier(approach[-1], -first.direction, circle[0], tangent[0], 12)
            exiting = bezier(circle[-1], tangent[-1], leaving[0], second.direction, 12)
            points = np.concatenate([approach, joining[1:], circle[1:], exiting[1:], leaving[1:]])
            entry = length_of(approach) + length_of(joining)
            ways.append(Way(points, VEHICLE, limit, 1, length_of(approach) + 3.0, entry=entry))
    return ways


def _highway(style: Style, draw: np.random.Generator) -> list[Way]:
    """Lanes of one direction; a ramp that merges, and one that leaves."""
    lanes, width = int(draw.integers(style.lanes[0], style.lanes[1] + 1)), draw.uniform(3.5, 3.75)
    limit, bend = draw.uniform(*style.limit), draw.uniform(-1.0, 1.0) / 900.0
    axis = Arm(draw.uniform(0.0, 2 * math.pi), bend, 0.0, 560.0)
    ways = [Way(axis.at(-lane * width), VEHICLE, limit, 10) for lane in range(lanes)]
    for lane, way in enumerate(ways):
        way.beside = (lane - 1, lane + 1 if lane + 1 < lanes else -1)
    right = -(lanes - 1) * width
    if draw.random() < 0.75:  # a ramp, beside the right lane for a while, which ends there
        begins, taper = draw.uniform(90.0, 150.0), draw.uniform(170.0, 230.0)
        t = np.arange(0.0, 561.0, 2.0)[:281]
        before = np.clip((begins - t) / begins, 0.0, 1.0)
        merged = np.clip((t - begins - taper) / 50.0, 0.0, 1.0)
        offset = right - width * (1 - merged * merged * (3 - 2 * merged)) - 28.0 * before**2
        ways.append(Way(_offset(axis, offset), VEHICLE, 0.85 * limit, 1, begins + taper + 5.0, weight=0.7))
        ways[-1].beside, ways[-1].zone, ways[-1].ends = (lanes - 1, -1), (begins, begins + taper), True
    if draw.random() < 0.9:  # an exit
        leaves = draw.uniform(170.0, 330.0)
        t = np.arange(0.0, 561.0, 2.0)[:281]
        after = np.maximum(t - leaves, 0.0)
        offset = right - np.minimum(after**2 / 900.0, after * 0.11)
        ways.append(Way(_offset(axis, offset), VEHICLE, limit, 10, weight=1.6))
    return ways


def _offset(axis: Arm, offset: Floats) -> Floats:
    """The line that lies a changing distance to the left of an arm's axis."""
    middle, beside = axis.at(0.0), axis.at(1.0)
    count = min(len(middle), len(offset))
    line: Floats = middle[:count] + offset[:count, None] * (beside - middle)[:count]
    return line


TEMPLATES: Final[Mapping[str, Callable[[Style, np.random.Generator], list[Way]]]] = {
    "road": _road,
    "tee": _tee,
    "crossing": _crossing,
    "roundabout": _roundabout,
    "highway": _highway,
}


# --- graphs -----------------------------------------------------------------------------------------------------------


def sample(style: Style, count: int, draw: np.random.Generator, lanes: int = 96) -> Roads:
    """``count`` graphs.

    Args:
        style: what they are like.
        count: G.
        draw: all randomness.
        lanes: most lanes of a map, L.
    """
    names = list(style.templates)
    shares = np.array([style.templates[name] for name in names])
    chosen = draw.choice(len(names), count, p=shares / shares.sum())
    graphs = [_tables(TEMPLATES[names[each]](style, draw), style, lanes) for each in chosen]
    return Roads(**{name: np.stack([graph[name] for graph in graphs]) for name in graphs[0]})


def _tables(ways: list[Way], style: Style, lanes: int) -> dict[str, Any]:
    """The arrays of one graph, by their names in :class:`Roads`."""
    if len(ways) > WAYS:
        raise ValueError(f"a graph has {len(ways)} ways; raise WAYS, which is {WAYS}")
    spacing, count = style.spacing, len(ways)
    points = np.zeros((WAYS, POINTS, 2), np.float32)
    points[:count] = np.stack([resampled(way.points, spacing) for way in ways])
    points[count:] = 1e4 + 1e4 * np.arange(WAYS - count)[:, None, None]  # far from everything
    valid = np.arange(WAYS) < count

    def values(name: str, otherwise: Any, dtype: Any) -> Any:
        return np.array([getattr(way, name) for way in ways] + [otherwise] * (WAYS - count), dtype)

    kind, phase = values("kind", 0, np.int64), values("phase", -1, np.int64)
    beside = values("beside", (-1, -1), np.int64)
    rank, entry = values("rank", 0, np.int64), values("entry", np.nan, np.float32)
    return {
        "points": points,
        "spacing": np.float32(spacing),
        "limit": _limits(points, values("limit", 1.0, np.float32), spacing),
        "valid": valid,
        "kind": kind,
        "phase": phase,
        "stop": values("stop", np.inf, np.float32),
        "weight": values("weight", 0.0, np.float32),
        "beside": beside,
        "zone": values("zone", (np.inf, np.inf), np.float32),
        "ends": values("ends", False, np.bool_),
        **_filled(_pairs(points[:count], kind[:count], rank[:count], entry[:count], beside[:count], spacing)),
        **_lanes(points[:count], lanes),
    }


def _limits(points: Floats, limit: Floats, spacing: float) -> Floats:
    """Speed limits float32[P, M], lowered in curves and before them."""
    steps = np.diff(points, axis=1)
    heading = np.unwrap(np.arctan2(steps[..., 1], steps[..., 0]), axis=1)
    bend = np.abs(np.diff(heading, axis=1)) / spacing
    curvature = np.zeros(points.shape[:2], np.float32)
    curvature[:, 1:-1] = bend
    curvature[:, 1:-1] = (curvature[:, :-2] + curvature[:, 1:-1] + curvature[:, 2:]) / 3
    limits = np.minimum(limit[:, None], np.sqrt(_LATERAL / np.maximum(curvature, 1e-4))).astype(np.float32)
    for m in range(limits.shape[1] - 2, -1, -1):
        limits[:, m] = np.minimum(limits[:, m], np.sqrt(limits[:, m + 1] ** 2 + 2 * _PREPARING * spacing))
    return limits


#: What the tables of pairs hold where there is no way.
_NO_PAIR: Final = {"yields": False}


def _filled(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of all pairs, of those of the ways that there are."""
    filled = {}
    for name, table in tables.items():
        ways = 1 if name in ("fork", "across") else 2
        shape = (WAYS,) * ways + table.shape[ways:]
        filled[name] = np.full(shape, _NO_PAIR.get(name, np.inf), table.dtype)
        filled[name][tuple(slice(len(table)) for _ in range(ways))] = table
    return filled


def _pairs(
    points: Floats, kind: Integers, rank: Integers, entry: Floats, beside_it: Integers, spacing: float
) -> dict[str, Any]:
    """What the simulation has to know of two ways."""
    count = len(points)
    numbers = np.arange(count)
    flat = points.reshape(-1, 2)
    half = 0.5 * (flat * flat).sum(axis=1)
    far = half[None, :] - flat @ flat.T  # half the squared distance, but for what depends on the row alone
    nearest = far.reshape(count, POINTS, count, POINTS).argmin(axis=-1)  # [second, its point, first]
    nearest = nearest.transpose(2, 0, 1)  # [first, second, point of the second]
    first = numbers[:, None, None]
    tangent = np.gradient(points, axis=1)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    own_tangent = tangent[first, nearest]
    beside = points[None] - points[first, nearest]
    ahead = (beside * own_tangent).sum(axis=-1).clip(-spacing, spacing)
    along = nearest * spacing + ahead
    least = np.linalg.norm(beside - ahead[..., None] * own_tangent, axis=-1)
    aligned = (own_tangent * tangent[None]).sum(axis=-1) > 0.5
    others = ~np.eye(count, dtype=bool)
    same = ((least < _SAME) & aligned) | ~others[..., None]

    gap = least.transpose(1, 0, 2)  # [first, second, point of the first]
    near = gap < _CONFLICT
    walking = (kind == PEDESTRIAN)[:, None] & (kind == PEDESTRIAN)[None, :]
    conflict = others & ~near[..., 0] & near.any(axis=-1) & ~walking
    begins = near.argmax(axis=-1)
    gone = ~near & (np.arange(POINTS) > begins[..., None])
    ends = np.where(gone.any(axis=-1), gone.argmax(axis=-1), POINTS - 1)
    ends = np.minimum(ends, begins + math.ceil(_MERGING / spacing))
    marks = [along[numbers[None, :], numbers[:, None], each] for each in (begins, ends)]  # on the second way
    other_begin, other_end = np.minimum(*marks) - 2.0, np.maximum(*marks) + 2.0
    joined = np.isfinite(entry[:, None]) & np.isfinite(entry[None, :])
    equal = (rank[:, None] == rank[None, :]) & (numbers[:, None] < numbers[None, :])
    enters = (begins * spacing - entry[:, None]) < (other_begin - entry[None, :])

    parted = (gap > _SAME) & (kind[:, None] == kind[None, :])[..., None]
    forks = parted.any(axis=-1) & near[..., 0] & ~parted[..., 0] & others
    fork = np.where(forks, parted.argmax(axis=-1) * spacing, np.inf).min(axis=1)
    none = np.float32(np.inf)
    return {
        "along": np.where(same, along, none).astype(np.float32),
        "begin": np.where(conflict, begins * spacing, none).astype(np.float32),
        "end": np.where(conflict, ends * spacing, none).astype(np.float32),
        "other_begin": np.where(conflict, other_begin, none).astype(np.float32),
        "other_end": np.where(conflict, other_end, none).astype(np.float32),
        "yields": conflict & np.where(joined, enters, (rank[:, None] < rank[None, :]) | equal),
        "fork": fork.astype(np.float32),
        "across": along[np.maximum(beside_it, 0), numbers[:, None]].astype(np.float32),
    }


def _lanes(points: Floats, most: int) -> dict[str, Any]:
    """Pieces of ways as a map shows them, each once: at most ``most``."""
    reach = (LANE_POINTS - 1) * LANE_STRIDE
    starts = np.arange(0, points.shape[1] - reach, reach)
    rows = starts[:, None] + np.arange(LANE_POINTS) * LANE_STRIDE
    pieces = points[:, rows].transpose(1, 0, 2, 3).reshape(-1, LANE_POINTS, 2)
    differ = np.abs(pieces[:, None] - pieces[None]).max(axis=(-1, -2))
    again = np.tril(differ < 0.5, -1).any(axis=1)
    pieces = pieces[~again][:most]
    lanes = np.zeros((most, LANE_POINTS, 2), np.float32)
    lanes[: len(pieces)] = pieces
    return {"lanes": lanes, "lanes_valid": np.arange(most) < len(pieces)}
