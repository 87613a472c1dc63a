"""TrajectoryPrediction: the traffic simulator, by numbers that an expert would ask for."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from discoenv.domains.TrajectoryPrediction import roads, scenes, simulation
from discoenv.domains.TrajectoryPrediction.references import constant_velocity
from discoenv.domains.TrajectoryPrediction.roads import PEDESTRIAN, VEHICLE, Floats
from discoenv.domains.TrajectoryPrediction.scenes import DISTRIBUTIONS, FUTURE, HISTORY, RATE_HZ, Scenes
from discoenv.domains.TrajectoryPrediction.simulation import Traffic

ROADS = [name for name, kind in DISTRIBUTIONS.items() if kind.style is not None]


@functools.cache
def traffic(name: str, worlds: int = 40) -> Traffic:
    return scenes.traffic(DISTRIBUTIONS[name], worlds, np.random.default_rng(5))[0]


@functools.cache
def drawn(name: str, count: int = 240) -> Scenes:
    return scenes.draw(name, count, 8, 20, np.random.default_rng(6))


def boxes_overlap(found: Traffic, world: int, first: int, second: int, time: int) -> bool:
    """By sampling points within the first box, which is independent of the theorem that the simulator's check uses."""
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 25), np.linspace(-0.5, 0.5, 15)), axis=-1).reshape(-1, 2)

    def turn(angle: float) -> Floats:
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    own = (
        grid * found.size[world, first] @ turn(found.heading[world, first, time]).T + found.position[world, first, time]
    )
    other = (own - found.position[world, second, time]) @ turn(found.heading[world, second, time])
    return bool((np.abs(other) < found.size[world, second] / 2).all(axis=-1).any())


def test_boxes_that_touch_are_found() -> None:
    draw = np.random.default_rng(0)
    position = draw.uniform(-3.5, 3.5, (200, 2, 1, 2))
    heading = draw.uniform(-3, 3, (200, 2, 1))
    size = np.tile(np.array([4.5, 1.9]), (200, 2, 1))
    plain = np.zeros((200, 2, 1))
    found = Traffic(position, heading, plain, plain, plain, plain == 0, plain, np.zeros((200, 2), int), size)
    expected = [boxes_overlap(found, w, 0, 1, 0) or boxes_overlap(found, w, 1, 0, 0) for w in range(200)]
    hit = scenes.touching(found).any(axis=1)
    assert 40 < hit.sum() < 160
    assert (hit >= expected).all()
    assert (hit != expected).sum() <= 6  # corners that touch by less than the grid is fine


@pytest.mark.parametrize("name", ROADS)
def test_no_two_vehicles_overlap_in_scenes_and_few_worlds_are_thrown_away_for_it(name: str) -> None:
    found = traffic(name)
    assert scenes.touching(found).any(axis=1).mean() <= 0.05
    shown = drawn(name)
    tracks, mask = shown.agents, shown.agents_mask
    apart = np.linalg.norm(tracks[:, :, None] - tracks[:, None, :], axis=-1)
    both = mask[:, :, None] & mask[:, None, :] & ~np.eye(tracks.shape[1], dtype=bool)[..., None]
    if name in ("highway_merge", "roundabouts", "city_dense", "arterial_turns"):
        assert apart[both].min() > 1.4  # of centres: a vehicle is 1.7 m wide and more, noise is 5 to 8 cm


@pytest.mark.parametrize("name", list(DISTRIBUTIONS))
def test_accelerations_are_within_what_tyres_and_legs_allow(name: str) -> None:
    found = traffic(name)
    moving = found.acceleration[found.present]
    assert np.abs(moving).max() <= simulation.BRAKING + 1e-3
    assert np.percentile(np.abs(moving), 99) < 3.5  # naturalistic driving: 99 % below 3.5 m/s², as highD and NGSIM
    future = drawn(name).future
    total = np.linalg.norm(np.diff(future, n=2, axis=1), axis=-1) * RATE_HZ**2
    assert np.percentile(total, 99) < 5.0
    assert total.max() < 11.0


@pytest.mark.parametrize(
    ("name", "low", "high", "fastest"),
    [
        ("city_dense", 2.0, 11.0, 14.5),
        ("arterial_turns", 3.0, 16.0, 20.5),
        ("highway_merge", 17.0, 31.0, 40.0),
        ("roundabouts", 2.5, 9.0, 17.0),
        ("plaza", 1.15, 1.45, 2.8),
    ],
)
def test_speeds_are_those_of_their_kind_of_road(name: str, low: float, high: float, fastest: float) -> None:
    found = traffic(name)
    speed = found.speed[found.present]
    assert low < np.median(speed[speed > 0.5]) < high
    assert speed.max() < fastest


def test_pedestrians_walk_and_cyclists_ride_at_published_speeds() -> None:
    found = traffic("mixed_short")
    speed = [found.speed[(found.kind == kind)[..., None] & found.present & (found.speed > 0.5)] for kind in range(3)]
    assert 1.2 < np.median(speed[PEDESTRIAN]) < 1.45  # 1.34 ± 0.26 m/s, Helbing & Molnár 1995
    assert 3.5 < np.median(speed[1]) < 5.5  # 13 to 20 km/h
    assert speed[PEDESTRIAN].max() < 2.6


@pytest.mark.parametrize("name", ROADS)
def test_time_gaps_of_followers_are_those_of_traffic(name: str) -> None:
    found = traffic(name)
    follows = found.present & np.isfinite(found.gap) & (found.gap < 40.0) & (found.speed > 4.0)
    follows &= (found.kind == VEHICLE)[..., None] & (np.abs(found.acceleration) < 1.0)
    gaps = found.gap[follows] / found.speed[follows]
    assert len(gaps) > 100
    assert 0.8 < np.median(gaps) < 3.5  # around 1.5 s in NGSIM and highD
    assert (gaps < 0.3).mean() < 0.02
    assert (found.gap[follows] > 0.0).all()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("city_dense", 3.5, 9.0),
        ("arterial_turns", 4.0, 11.0),
        ("mixed_short", 2.0, 7.0),
        ("highway_merge", 2.5, 8.5),
        ("roundabouts", 4.5, 11.0),
        ("plaza", 0.7, 2.2),
    ],
)
def test_constant_velocity_errs_as_much_as_in_published_sets(name: str, low: float, high: float) -> None:
    """Mean error over 6 s.

    nuScenes: 4.61 m (Phan-Minh et al. 2020, CoverNet). Argoverse 2: 7.75 m (Wilson et al. 2021). NGSIM: root mean
    square of 6.7 m after 5 s (Deo & Trivedi 2018). ETH and UCY: 0.5 m over 4.8 s (Schöller et al. 2020).
    """
    found = drawn(name)
    straight = constant_velocity(found.agents, found.agents_mask, FUTURE)
    assert low < np.linalg.norm(straight - found.future, axis=-1).mean() < high


@pytest.mark.parametrize("name", list(DISTRIBUTIONS))
def test_the_way_forks_in_three_to_five_of_ten_scenes(name: str) -> None:
    assert 0.28 <= drawn(name, 240).decision.mean() <= 0.52


def test_what_is_shown_is_in_the_frame_of_the_focal_road_user() -> None:
    found = drawn("arterial_turns")
    assert found.agents.shape == (240, 8, HISTORY, 2)
    assert found.future.shape == (240, FUTURE, 2)
    np.testing.assert_allclose(found.agents[:, 0, -1], 0.0, atol=1e-4)
    assert found.agents_mask[:, 0].all()
    first = found.future[:, 0]
    assert (np.abs(first[:, 1]) < 0.6).all()
    assert (first[:, 0] > -0.4).all()
    assert not found.agents[~found.agents_mask].any()
    assert not found.lanes[~found.lanes_mask].any()
    near = np.linalg.norm(found.agents[:, 1:, -1], axis=-1)
    seen = found.agents_mask[:, 1:, -1]
    ordered = np.where(seen, near, np.inf)
    rising = np.diff(np.where(np.isfinite(ordered), ordered, 1e9), axis=1)
    assert (rising[seen[:, 1:] & seen[:, :-1]] >= -1e-3).all()
    moving = np.linalg.norm(found.future[:, -1], axis=-1) > 4.0
    assert moving.mean() > 0.85


def test_half_of_the_history_is_hidden_where_it_should_be_and_some_neighbours_appear_late() -> None:
    short, whole = drawn("mixed_short"), drawn("city_dense")
    assert not short.agents_mask[..., : HISTORY // 2].any()
    assert short.agents_mask[:, 0, HISTORY // 2 :].all()
    seen = whole.agents_mask[:, 1:][whole.agents_mask[:, 1:].any(axis=-1)]
    assert 0.02 < (~seen.all(axis=-1)).mean() < 0.5


def test_the_focal_road_user_drives_on_a_lane_of_the_map() -> None:
    for name in ("arterial_turns", "highway_merge", "roundabouts"):
        found = drawn(name)
        lanes = np.where(found.lanes_mask[..., None], found.lanes, 1e6)
        steps = lanes[:, :, 1:] - lanes[:, :, :-1]
        square = np.maximum((steps**2).sum(axis=-1), 1e-9)
        part = np.clip(-(lanes[:, :, :-1] * steps).sum(axis=-1) / square, 0.0, 1.0)
        apart = np.linalg.norm(lanes[:, :, :-1] + part[..., None] * steps, axis=-1).min(axis=(1, 2))
        assert (apart < 2.5).mean() > 0.93, name


def test_no_scene_shows_what_another_one_hides() -> None:
    found = drawn("city_dense")
    assert len(set(found.world.tolist())) > 70
    assert np.bincount(found.world).max() <= DISTRIBUTIONS["city_dense"].scenes_per_world


def test_scenes_follow_from_the_generator_alone() -> None:
    one, same, other = (scenes.draw("roundabouts", 12, 8, 20, np.random.default_rng(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(one.future, same.future)
    np.testing.assert_array_equal(one.lanes, same.lanes)
    assert not np.array_equal(one.future, other.future)


def test_who_yields_and_where_ways_part() -> None:
    style = roads.Style({"crossing": 1.0}, (9.0, 12.0), signals=0.0)
    graph = roads.sample(style, 3, np.random.default_rng(0))
    conflict = np.isfinite(graph.begin)
    assert (conflict == conflict.transpose(0, 2, 1)).mean() > 0.99
    assert not (graph.yields & graph.yields.transpose(0, 2, 1)).any()
    assert (graph.yields <= conflict).all()
    forks = graph.fork[graph.valid]
    assert np.isfinite(forks).all()  # each of the twelve ways shares its beginning with two others
    assert (forks > 50.0).all()
    ring = roads.sample(roads.Style({"roundabout": 1.0}, (9.0, 12.0)), 3, np.random.default_rng(0))
    assert np.isfinite(ring.begin).any()
    limited = ring.limit[ring.valid]
    assert limited.min() > 2.5
    assert (np.diff(limited**2, axis=1) > -2 * 1.21 * 2.5).all()  # one can brake for every curve


def test_a_leader_that_stands_is_stopped_for() -> None:
    """The intelligent driver model against its formula, and what becomes of one who follows it."""
    demand = simulation.Demand(vehicles=2, upstream=1.0)
    graph = roads.sample(roads.Style({"road": 1.0}, (12.0, 12.0)), 1, np.random.default_rng(0))
    world = simulation._World(graph, demand, np.zeros(1, np.int64), np.random.default_rng(0))
    v, gap, lead = np.float32(9.0), np.float32(25.0), np.float32(4.0)
    world.v[:] = v
    found = world._idm(np.full((1, 2), 12.0), np.full((1, 2), gap), np.full((1, 2), lead), 2.0, np.full((1, 2), 1.2))
    a, b = world.strength, world.comfort
    wanted = 2.0 + v * 1.2 + v * (v - lead) / (2 * np.sqrt(a * b))
    np.testing.assert_allclose(found, a * (1 - (v / 12.0) ** 4 - (wanted / gap) ** 2), rtol=1e-4)


def test_generating_is_quick() -> None:
    import time

    begin = time.process_time()
    scenes.draw("city_dense", 300, 12, 24, np.random.default_rng(9))
    assert time.process_time() - begin < 20.0
