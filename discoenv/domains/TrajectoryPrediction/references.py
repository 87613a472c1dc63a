"""Reference rows that need no training of a network: how far simple ideas come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .roads import Booleans, Floats
from .scenes import Scenes

#: Steps of the history from which velocity and turn rate are estimated.
_STEPS = 3
#: A lane is followed if the focal road user is this near to it, and looks along it but for this angle; and a lane goes
#: on in another one that begins this near to its end, in nearly the same direction.
_NEAR, _ANGLE, _NEXT = 2.5, np.radians(35.0), 3.0


def velocity(agents: Floats, mask: Booleans) -> Floats:
    """Metres per step of the focal road user, float64[B, 2]: the mean of its last three steps, those that were seen."""
    track, seen = agents[:, 0, -1 - _STEPS :].astype(np.float64), mask[:, 0, -1 - _STEPS :]
    both = (seen[:, 1:] & seen[:, :-1])[..., None]
    steps: Floats = (np.diff(track, axis=1) * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    return steps


def constant_velocity(agents: Floats, mask: Booleans, times: int) -> Floats:
    """float64[B, times, 2]: straight on, as fast as now."""
    ahead: Floats = velocity(agents, mask)[:, None] * np.arange(1, times + 1)[:, None]
    return ahead


def constant_turn_rate(agents: Floats, mask: Booleans, times: int) -> Floats:
    """float64[B, times, 2]: on a circle, as fast as now, and turning as fast as over the last steps."""
    track = agents[:, 0].astype(np.float64)
    move = velocity(agents, mask)
    seen = mask[:, 0]
    begin, end = seen[:, -6] & seen[:, -4], seen[:, -1] & seen[:, -3]
    old, new = track[:, -4] - track[:, -6], track[:, -1] - track[:, -3]
    turn = np.arctan2(old[:, 0] * new[:, 1] - old[:, 1] * new[:, 0], (old * new).sum(axis=-1)) / 3.0
    # A road user that hardly moves has no direction.
    sure = begin & end & (np.linalg.norm(old, axis=-1) > 0.4) & (np.linalg.norm(new, axis=-1) > 0.4)
    turn = np.where(sure, turn.clip(-0.15, 0.15), 0.0)
    # The velocity is that of the middle of the steps that it is estimated from, _STEPS / 2 steps ago.
    angle = np.arctan2(move[:, 1], move[:, 0])[:, None] + turn[:, None] * (np.arange(times) + 0.5 * (_STEPS + 1))
    speed = np.linalg.norm(move, axis=-1)[:, None]
    circle: Floats = np.cumsum(np.stack([speed * np.cos(angle), speed * np.sin(angle)], axis=-1), axis=1)
    return circle


def lane_following(scenes: Scenes, times: int, modes: int) -> Floats:
    """float64[B, modes, times, 2]: as fast as now along lanes that may be followed; the rest is constant velocity."""
    ahead = constant_velocity(scenes.agents, scenes.agents_mask, times)
    speed = np.linalg.norm(velocity(scenes.agents, scenes.agents_mask), axis=-1)
    found = np.repeat(ahead[:, None], modes, axis=1)
    for row in range(len(scenes)):
        lanes = scenes.lanes[row][scenes.lanes_mask[row].all(axis=-1)].astype(np.float64)
        for number, path in enumerate(_paths(lanes, speed[row] * times + 5.0)[: modes - 1]):
            found[row, number + 1] = _along(path, speed[row] * np.arange(1, times + 1))
    return found


def _paths(lanes: Floats, length: float) -> list[Floats]:
    """Polylines from the origin along lanes and their successors, at least so long where there are lanes."""
    if not len(lanes):
        return []
    begin, end = lanes[:, 0], lanes[:, -1]
    first, last = (each / np.maximum(np.linalg.norm(each, axis=-1, keepdims=True), 1e-6)
                   for each in (lanes[:, 1] - lanes[:, 0], lanes[:, -1] - lanes[:, -2]))  # fmt: skip
    follows = (np.linalg.norm(end[:, None] - begin[None], axis=-1) < _NEXT) & (last @ first.T > 0.8)
    np.fill_diagonal(follows, False)
    paths: list[Floats] = []

    def extend(path: Floats, lane: int, depth: int) -> None:
        covered = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
        after = np.flatnonzero(follows[lane])
        if covered > length or depth > 12 or not len(after) or len(paths) > 16:
            paths.append(path)
            return
        for each in after:
            extend(np.concatenate([path, lanes[each]]), int(each), depth + 1)

    for lane, points in enumerate(lanes):
        middle = 0.5 * (points[1:] + points[:-1])
        steps = np.diff(points, axis=0)
        part = np.clip(-(points[:-1] * steps).sum(axis=-1) / np.maximum((steps**2).sum(axis=-1), 1e-9), 0.0, 1.0)
        nearest = np.linalg.norm(points[:-1] + part[:, None] * steps, axis=-1)
        m = int(nearest.argmin())
        angle = abs(np.arctan2(steps[m, 1], steps[m, 0]))
        if nearest[m] < _NEAR and angle < _ANGLE and np.linalg.norm(middle[m]) < 60.0:
            foot = points[m] + part[m] * steps[m]
            extend(np.concatenate([foot[None], points[m + 1 :]]), lane, 0)
    return _different(paths)


def _different(paths: list[Floats]) -> list[Floats]:
    """The paths, without those that end where another one does."""
    kept: list[Floats] = []
    for path in sorted(paths, key=lambda each: -len(each)):
        if all(np.linalg.norm(path[-1] - other[-1]) > 3.0 for other in kept):
            kept.append(path)
    return kept


def _along(path: Floats, distances: Floats) -> Floats:
    """Points at these distances along a polyline, from the origin: its offset to the first point is kept and fades."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    path = path[np.concatenate([[True], steps > 1e-6])]
    if len(path) < 2:
        return np.zeros((len(distances), 2))
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    points = np.stack([np.interp(distances, length, path[:, axis]) for axis in range(2)], axis=-1)
    direction = (path[-1] - path[-2]) / np.linalg.norm(path[-1] - path[-2])
    points = points + np.maximum(distances - length[-1], 0.0)[:, None] * direction
    fading = np.exp(-distances / 20.0)[:, None]
    line: Floats = points - path[0] * fading
    return line


def k_means(futures: Floats, clusters: int, draw: np.random.Generator, rounds: int = 20) -> tuple[Floats, Floats]:
    """K-means of trajectories (Lloyd 1982): centres float64[clusters, T, 2], the share of each float64[clusters]."""
    flat = futures.reshape(len(futures), -1).astype(np.float64)
    centres = flat[draw.choice(len(flat), clusters, replace=len(flat) < clusters)]
    for _ in range(rounds):
        far = (flat**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2.0 * flat @ centres.T
        nearest = far.argmin(axis=1)
        centres = np.stack(
            [flat[nearest == k].mean(axis=0) if (nearest == k).any() else centres[k] for k in range(clusters)]
        )
    share = np.bincount(nearest, minlength=clusters) / len(flat)
    return centres.reshape(clusters, *futures.shape[1:]), share


def rows(train: Scenes, test: Scenes, modes: int, draw: np.random.Generator) -> Mapping[str, tuple[Floats, Any]]:
    """Trajectories float64[B, modes, T, 2] and probabilities float64[B, modes] of each reference, by its name."""
    times, count = test.future.shape[1], len(test)
    first = np.zeros((count, modes))
    first[:, 0] = 1.0
    even = np.full((count, modes), 1.0 / modes)
    centres, share = k_means(train.future, modes, draw)

    def repeated(trajectories: Floats) -> Floats:
        return np.repeat(trajectories[:, None], modes, axis=1)

    return {
        "constant velocity": (repeated(constant_velocity(test.agents, test.agents_mask, times)), first),
        "constant turn rate": (repeated(constant_turn_rate(test.agents, test.agents_mask, times)), first),
        "lane following": (lane_following(test, times, modes), even),
        "K-means anchors": (np.repeat(centres[None], count, axis=0), np.repeat(share[None], count, axis=0)),
    }


def known_route(train: Scenes, test: Scenes, modes: int, draw: np.random.Generator) -> Floats:
    """What an oracle reaches that knows the way and not how fast: float64[B, modes, T, 2].

    It goes along the true future. Its speed profiles are centres, by K-means, of the distances over time of training
    scenes, less constant speed. It shows how much of the error is due to the way, and how far a network could come.
    """
    times = np.arange(1, test.future.shape[1] + 1)

    def distances(scenes: Scenes) -> tuple[Floats, Floats]:
        path = np.concatenate([np.zeros((len(scenes), 1, 2)), scenes.future], axis=1)
        covered = np.cumsum(np.linalg.norm(np.diff(path, axis=1), axis=-1), axis=1)
        return covered, np.linalg.norm(velocity(scenes.agents, scenes.agents_mask), axis=-1)[:, None] * times

    covered, constant = distances(train)
    departures, _ = k_means(covered - constant, modes, draw)
    _, constant = distances(test)
    wanted = np.maximum(constant[:, None] + departures[None], 0.0)
    return np.stack(
        [
            np.stack([_along(np.concatenate([np.zeros((1, 2)), future]), each) for each in rows])
            for future, rows in zip(test.future.astype(np.float64), wanted, strict=True)
        ]
    )
