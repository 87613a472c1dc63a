"""Discs on a plane, after the multi-agent particle environments (Mordatch and Abbeel 2018; Lowe et al. 2017).

Discs have mass 1, are accelerated by forces, slowed down by friction, and push each other away where they overlap; a
step is 0.1 s. Episodes end after ``max_steps``, which belongs to the task: agents see how much of them is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .teams import Observation, World

#: Directions of the moves: stay, left, right, down, up.
MOVES = np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]], np.float32)
STEP_S, DAMPING, CONTACT_FORCE, CONTACT_MARGIN = 0.1, 0.25, 1e2, 1e-3


def make(name: str, options: Mapping[str, Any]) -> World:
    """spread, tag, speaker_listener or reference."""
    kinds: dict[str, Any] = {"spread": Spread, "tag": Tag, "speaker_listener": SpeakerListener, "reference": Reference}
    if name not in kinds:
        raise ValueError(f"there is no world {name!r} of particles; ENV_NAME must be one of {', '.join(kinds)}")
    made: World = kinds[name](**options)
    return made


def contact_forces(position: jax.Array, size: jax.Array) -> jax.Array:
    """Forces float32[N, 2] with which N discs push each other away.

    A pair at distance d with radii r, r' feels f log(1 + exp((r + r' - d) / m)) m along the line between them.

    Args:
        position: float32[N, 2].
        size: float32[N], radii.
    """
    delta = position[:, None] - position[None]
    distance = jnp.sqrt(jnp.sum(delta**2, axis=-1) + 1e-12)
    overlap = CONTACT_MARGIN * jnp.logaddexp(0.0, (size[:, None] + size[None] - distance) / CONTACT_MARGIN)
    push = CONTACT_FORCE * (delta / distance[..., None]) * overlap[..., None]
    return jnp.sum(jnp.where(jnp.eye(len(size), dtype=bool)[..., None], 0.0, push), axis=1)


def moved(
    position: jax.Array, velocity: jax.Array, force: jax.Array, max_speed: jax.Array | float
) -> tuple[jax.Array, jax.Array]:
    """Positions and velocities float32[N, 2] one step later."""
    velocity = (1 - DAMPING) * velocity + STEP_S * force
    speed = jnp.sqrt(jnp.sum(velocity**2, axis=-1, keepdims=True) + 1e-12)
    velocity = velocity * jnp.minimum(1.0, jnp.reshape(max_speed, (-1, 1)) / speed)
    return position + STEP_S * velocity, velocity


def others(x: jax.Array) -> jax.Array:
    """What each of A agents sees of the others: float32[A, A - 1, ...] of x float32[A, ...], from the next one on."""
    count = len(x)
    return x[(jnp.arange(count)[:, None] + jnp.arange(1, count)) % count]


def rows(*parts: jax.Array) -> jax.Array:
    """float32[A, D]: the parts float32[A, ...] side by side."""
    return jnp.concatenate([part.reshape(len(part), -1) for part in parts], axis=-1)


def marked(kind: int, positions: jax.Array) -> jax.Array:
    """Rows (x, y, kind, health 1) of a scene, float32[N, 4], for positions float32[N, 2]."""
    return jnp.concatenate(
        [positions, jnp.full((len(positions), 1), float(kind)), jnp.ones((len(positions), 1))], axis=-1
    )


class Bodies(NamedTuple):
    """State of a world: A discs that move, landmarks that do not, the agents' goals and words, steps so far."""

    position: jax.Array
    velocity: jax.Array
    landmarks: jax.Array
    goals: jax.Array
    words: jax.Array
    time: jax.Array


class _Particles:
    """What the worlds have in common: all actions are moves, all agents are always active."""

    continuous = False
    num_actions = len(MOVES)

    def __init__(self, num_agents: int, max_steps: int) -> None:
        self.num_agents, self.max_steps = num_agents, max_steps

    def _observation(
        self, time: jax.Array, own: jax.Array, world: jax.Array, available: jax.Array | None = None
    ) -> Observation:
        agents = self.num_agents
        if available is None:
            available = jnp.ones((agents, self.num_actions), bool)
        world = jnp.broadcast_to(world.reshape(-1), (agents, world.size))
        left = jnp.full((agents, 1), 1 - time / self.max_steps)
        own, world = (jnp.concatenate([x, left], axis=-1) for x in (own, world))
        return Observation(own, available, jnp.ones(agents, bool), world)

    def _ended(self, state: Bodies) -> tuple[jax.Array, jax.Array]:
        return state.time >= self.max_steps, jnp.zeros((), bool)


class Spread(_Particles):
    """A agents cover A landmarks without touching each other.

    Reward: minus the distances of the landmarks from the nearest agent, summed, minus 1 for each pair that touches.
    Success: each landmark has an agent within 0.15.
    """

    size = 0.15
    sensitivity = 5.0

    def __init__(self, num_agents: int = 3, max_steps: int = 25) -> None:
        super().__init__(num_agents, max_steps)

    def reset(self, key: jax.Array) -> tuple[Observation, Bodies]:
        """A new episode; see :class:`.teams.World`."""
        agents = self.num_agents
        places = jax.random.uniform(key, (2 * agents, 2), minval=-1.0, maxval=1.0)
        none = jnp.zeros(agents, jnp.int32)
        state = Bodies(places[:agents], jnp.zeros((agents, 2)), places[agents:], none, none, jnp.int32(0))
        return self._observe(state), state

    def step(self, key: jax.Array, state: Bodies, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        del key
        size = jnp.full(self.num_agents, self.size)
        force = self.sensitivity * jnp.asarray(MOVES)[action] + contact_forces(state.position, size)
        position, velocity = moved(state.position, state.velocity, force, jnp.inf)
        state = state._replace(position=position, velocity=velocity, time=state.time + 1)
        nearest = distances(state.landmarks, position).min(axis=1)
        touching = jnp.triu(distances(position, position) < 2 * self.size, 1).sum()
        reward = -nearest.sum() - touching
        return self._observe(state), state, reward, *self._ended(state), {"success": (nearest < 0.15).all()}

    def _observe(self, state: Bodies) -> Observation:
        relative = state.landmarks[None] - state.position[:, None]
        own = rows(state.velocity, state.position, relative, others(state.position) - state.position[:, None])
        return self._observation(state.time, own, rows(state.position, state.velocity, state.landmarks))

    def scene(self, state: Bodies) -> jax.Array:
        """What pictures show; see :class:`.teams.World`."""
        return jnp.concatenate([marked(0, state.position), marked(3, state.landmarks)])


class Tag(_Particles):
    """A hunters of speed 1 chase a prey of speed ``prey_speed`` that flees by a rule, between obstacles.

    Reward: the number of hunters that touch the prey, minus a tenth of their mean distance from it. Success:
    one touches it.
    """

    size, prey_size, obstacle_size = 0.075, 0.05, 0.2
    sensitivity, speed, prey_sensitivity = 3.0, 1.0, 3.0

    def __init__(self, num_agents: int = 3, obstacles: int = 2, max_steps: int = 25, prey_speed: float = 1.3) -> None:
        super().__init__(num_agents, max_steps)
        self.obstacles, self.prey_speed = obstacles, prey_speed
        self._sizes = jnp.array([self.size] * num_agents + [self.prey_size] + [self.obstacle_size] * obstacles)

    def reset(self, key: jax.Array) -> tuple[Observation, Bodies]:
        """A new episode; see :class:`.teams.World`."""
        agents = self.num_agents
        bodies_key, obstacles_key = jax.random.split(key)
        places = jax.random.uniform(bodies_key, (agents + 1, 2), minval=-1.0, maxval=1.0)
        obstacles = jax.random.uniform(obstacles_key, (self.obstacles, 2), minval=-0.8, maxval=0.8)
        none = jnp.zeros(agents, jnp.int32)
        state = Bodies(places, jnp.zeros((agents + 1, 2)), obstacles, none, none, jnp.int32(0))
        return self._observe(state), state

    def flight(self, state: Bodies) -> jax.Array:
        """Direction float32[2] in which the prey flees: from hunters, from obstacles, and back from the rim."""
        here = state.position[-1]
        dangers = jnp.concatenate([state.position[:-1], state.landmarks])
        away = here - dangers
        distance = jnp.sqrt(jnp.sum(away**2, axis=-1) + 1e-6) - jnp.concatenate(
            [jnp.zeros(self.num_agents), jnp.full(self.obstacles, self.obstacle_size)]
        )
        weight = jnp.where(jnp.arange(len(dangers)) < self.num_agents, 1.0, 0.2)
        push = jnp.sum(weight[:, None] * away / jnp.maximum(distance, 0.05)[:, None] ** 3, axis=0)
        rim = -jnp.sign(here) / jnp.maximum(1.05 - jnp.abs(here), 0.05) ** 2
        direction = push + rim
        return direction / jnp.sqrt(jnp.sum(direction**2) + 1e-6)

    def step(self, key: jax.Array, state: Bodies, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        del key
        count = self.num_agents + 1
        everything = jnp.concatenate([state.position, state.landmarks])
        wish = jnp.concatenate(
            [self.sensitivity * jnp.asarray(MOVES)[action], self.prey_sensitivity * self.flight(state)[None]], axis=0
        )
        force = wish + contact_forces(everything, self._sizes)[:count]
        speed = jnp.array([self.speed] * self.num_agents + [self.prey_speed])
        position, velocity = moved(state.position, state.velocity, force, speed)
        state = state._replace(position=jnp.clip(position, -1.2, 1.2), velocity=velocity, time=state.time + 1)
        hunters, prey = state.position[:-1], state.position[-1:]
        distance = distances(hunters, prey)[:, 0]
        touching = distance < self.size + self.prey_size
        reward = touching.sum() - 0.1 * distance.mean()
        return self._observe(state), state, reward, *self._ended(state), {"success": touching.any()}

    def _observe(self, state: Bodies) -> Observation:
        position, velocity = state.position[:-1], state.velocity[:-1]
        here = position[:, None]
        prey_velocity = jnp.broadcast_to(state.velocity[-1], position.shape)
        own = rows(
            velocity,
            position,
            state.position[-1] - position,
            prey_velocity,
            state.landmarks[None] - here,
            others(position) - here,
        )
        return self._observation(state.time, own, rows(state.position, state.velocity).reshape(-1))

    def scene(self, state: Bodies) -> jax.Array:
        """What pictures show; see :class:`.teams.World`."""
        return jnp.concatenate(
            [marked(0, state.position[:-1]), marked(1, state.position[-1:]), marked(2, state.landmarks)]
        )


class SpeakerListener(_Particles):
    """The first agent sees which landmark is the goal, and says a word; the second hears it, and moves.

    Reward: minus the squared distance of the listener from the goal. Success: it is within 0.2.
    """

    sensitivity = 5.0
    landmarks = 3

    def __init__(self, max_steps: int = 25) -> None:
        super().__init__(2, max_steps)

    def reset(self, key: jax.Array) -> tuple[Observation, Bodies]:
        """A new episode; see :class:`.teams.World`."""
        goal_key, place_key = jax.random.split(key)
        places = jax.random.uniform(place_key, (1 + self.landmarks, 2), minval=-1.0, maxval=1.0)
        goal = jax.random.randint(goal_key, (1,), 0, self.landmarks)
        silence = jnp.full(1, self.landmarks, jnp.int32)
        state = Bodies(places[:1], jnp.zeros((1, 2)), places[1:], goal, silence, jnp.int32(0))
        return self._observe(state), state

    def step(self, key: jax.Array, state: Bodies, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        del key
        position, velocity = moved(
            state.position, state.velocity, self.sensitivity * jnp.asarray(MOVES)[action[1:]], jnp.inf
        )
        state = state._replace(position=position, velocity=velocity, words=action[:1], time=state.time + 1)
        squared = jnp.sum((position[0] - state.landmarks[state.goals[0]]) ** 2)
        return self._observe(state), state, -squared, *self._ended(state), {"success": squared < 0.2**2}

    def _observe(self, state: Bodies) -> Observation:
        role = jnp.eye(2)
        goal = jax.nn.one_hot(state.goals[0], self.landmarks)
        heard = jax.nn.one_hot(state.words[0], self.landmarks)
        seen = jnp.concatenate([state.velocity[0], (state.landmarks - state.position).reshape(-1), heard])
        speaker = jnp.concatenate([role[0], goal, jnp.zeros_like(seen)])
        listener = jnp.concatenate([role[1], jnp.zeros_like(goal), seen])
        available = jnp.stack([jnp.arange(self.num_actions) < self.landmarks, jnp.ones(self.num_actions, bool)])
        return self._observation(state.time, jnp.stack([speaker, listener]), jnp.concatenate([goal, seen]), available)

    def scene(self, state: Bodies) -> jax.Array:
        """What pictures show; see :class:`.teams.World`."""
        goals = jnp.where(jnp.arange(self.landmarks) == state.goals[0], 1.0, 0.3)
        return jnp.concatenate([marked(0, state.position), marked(3, state.landmarks).at[:, 3].set(goals)])


class Reference(_Particles):
    """Two agents move and speak; each knows which landmark is the other one's goal.

    An action is a move and a word: 5 w + m. Reward: minus the squared distances of both from their goals. Success: both
    are within 0.2.
    """

    sensitivity = 5.0
    landmarks = 3
    words = 3
    num_actions = 15

    def __init__(self, max_steps: int = 25) -> None:
        super().__init__(2, max_steps)

    def reset(self, key: jax.Array) -> tuple[Observation, Bodies]:
        """A new episode; see :class:`.teams.World`."""
        goal_key, place_key = jax.random.split(key)
        places = jax.random.uniform(place_key, (2 + self.landmarks, 2), minval=-1.0, maxval=1.0)
        goals = jax.random.randint(goal_key, (2,), 0, self.landmarks)
        silence = jnp.full(2, self.words, jnp.int32)
        state = Bodies(places[:2], jnp.zeros((2, 2)), places[2:], goals, silence, jnp.int32(0))
        return self._observe(state), state

    def step(self, key: jax.Array, state: Bodies, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        del key
        move, word = action % len(MOVES), action // len(MOVES)
        force = self.sensitivity * jnp.asarray(MOVES)[move]
        position, velocity = moved(state.position, state.velocity, force, jnp.inf)
        state = state._replace(position=position, velocity=velocity, words=word, time=state.time + 1)
        squared = jnp.sum((position - state.landmarks[state.goals]) ** 2, axis=-1)
        return self._observe(state), state, -squared.sum(), *self._ended(state), {"success": (squared < 0.2**2).all()}

    def _observe(self, state: Bodies) -> Observation:
        goals, words = jax.nn.one_hot(state.goals, self.landmarks), jax.nn.one_hot(state.words, self.words)
        relative = state.landmarks[None] - state.position[:, None]
        own = rows(state.velocity, relative, goals[::-1], words[::-1])
        return self._observation(state.time, own, rows(state.velocity, relative, goals, words))

    def scene(self, state: Bodies) -> jax.Array:
        """What pictures show; see :class:`.teams.World`."""
        return jnp.concatenate([marked(0, state.position), marked(3, state.landmarks)])


def distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """Distances float32[N, M] between points float32[N, 2] and float32[M, 2]."""
    return jnp.sqrt(jnp.sum((x[:, None] - y[None]) ** 2, axis=-1) + 1e-12)
