"""Battles of two teams of units, after SMAC (Samvelyan et al. 2019) and SMAX (Rutherford et al. 2024).

Our units are agents; the others walk to the nearest of ours and attack it. All act at the same time, twice a second. A
unit may attack what is within its range once its weapon is ready; whose health is gone is dead, and has the action 0
alone. The battle ends when a team is dead, or is truncated after ``max_steps``.

Actions: 0 nothing (the dead alone), 1 stop, 2 to 5 move left, right, down, up, 6 + j attack the enemy j.
Reward: damage done, as a share of all the health that the enemies had; 1 more for the last of them: at most 2 in all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .particles import MOVES, distances, others, rows
from .teams import Observation

#: Of a kind of units: letter in the names of scenarios, health, damage of an attack, range, steps between attacks,
#: distance moved in a step.
KINDS: Final = {
    "marine": ("m", 45.0, 9.0, 5.0, 2, 1.5),
    "stalker": ("s", 160.0, 13.0, 6.0, 3, 2.0),
    "zealot": ("z", 150.0, 16.0, 1.5, 2, 1.6),
    "hydralisk": ("h", 80.0, 12.0, 5.0, 2, 1.6),
    "zergling": ("l", 35.0, 5.0, 1.5, 1, 2.0),
}
SIGHT: Final = 9.0
#: Length of the sides of the square map, and radius of a unit, which pushes others away.
SIDE: Final = 20.0
RADIUS: Final = 0.4
FIXED_ACTIONS: Final = 6


def make(name: str, options: Mapping[str, Any]) -> Skirmish:
    """A scenario by name: ``3m``, ``5m_vs_6m``, ``2s3z``; ``mixed_5`` has five of random kinds on each side.

    Raises:
        ValueError: the name says no units.
    """
    if mixed := re.fullmatch(r"mixed_(\d+)", name):
        return Skirmish(None, (int(mixed[1]),) * 2, **options)
    letters = {entry[0]: number for number, entry in enumerate(KINDS.values())}
    sides = name.split("_vs_")
    units = [re.findall(r"(\d+)([a-z])", side) for side in sides]
    if (
        len(sides) > 2
        or "".join(f"{n}{kind}" for side in units for n, kind in side) != "".join(sides)
        or not all(units)
    ):
        raise ValueError(f"there is no skirmish {name!r}; ENV_NAME must be like 3m, 5m_vs_6m, 2s3z or mixed_5")
    if unknown := {kind for side in units for _, kind in side} - set(letters):
        raise ValueError(f"the skirmish {name!r} has units {sorted(unknown)}; known are {', '.join(letters)}")
    teams = [tuple(letters[kind] for n, kind in side for _ in range(int(n))) for side in units]
    return Skirmish((*teams[0], *teams[-1]), (len(teams[0]), len(teams[-1])), **options)


class Battle(NamedTuple):
    """State of a battle of U units, ours first: positions, health, steps until the weapon is ready, kinds, steps."""

    position: jax.Array
    health: jax.Array
    cooldown: jax.Array
    kind: jax.Array
    time: jax.Array


class Skirmish:
    """A battle.

    Args:
        kinds: of all units, ours first, as numbers of ``KINDS``; None: drawn for each battle, the same on both sides.
        sizes: numbers of our units and of theirs.
        max_steps: after which it is truncated.
    """

    continuous = False

    def __init__(self, kinds: tuple[int, ...] | None, sizes: tuple[int, int], max_steps: int = 60) -> None:
        self.num_agents, self.num_enemies = sizes
        self.num_actions = FIXED_ACTIONS + self.num_enemies
        self.max_steps = max_steps
        self._kinds = None if kinds is None else jnp.array(kinds)
        table = np.array([entry[1:] for entry in KINDS.values()], np.float32)
        self._health, self._damage, self._range, self._pause, self._speed = jnp.asarray(table.T)
        self._ours = jnp.arange(sum(sizes)) < self.num_agents
        #: Kinds that may be met, one number each in observations.
        self._known = sorted(set(range(3) if kinds is None else kinds))

    def reset(self, key: jax.Array) -> tuple[Observation, Battle]:
        """A new episode; see :class:`.teams.World`."""
        place_key, kind_key, side_key = jax.random.split(key, 3)
        middle = jnp.where(self._ours, 0.25, 0.75) * SIDE
        middle = jnp.where(jax.random.bernoulli(side_key), middle, SIDE - middle)
        scatter = jax.random.uniform(place_key, (len(middle), 2), minval=-2.5, maxval=2.5)
        position = jnp.stack([middle, jnp.full_like(middle, SIDE / 2)], axis=-1) + scatter
        kind = self._kinds
        if kind is None:
            drawn = jax.random.randint(kind_key, (self.num_agents,), 0, 3)
            kind = jnp.concatenate([drawn, drawn])
        state = Battle(position, self._health[kind], jnp.zeros(len(middle), jnp.int32), kind, jnp.int32(0))
        return self._observe(state), state

    def step(self, key: jax.Array, state: Battle, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        del key
        agents = self.num_agents
        alive = state.health > 0
        apart = distances(state.position, state.position)
        reach = self._range[state.kind]

        # Theirs attack the nearest of ours if they can, and else walk to it.
        to_ours = jnp.where(alive[:agents], apart[agents:, :agents], jnp.inf)
        prey = to_ours.argmin(axis=1)
        near = to_ours.min(axis=1) <= reach[agents:]
        toward = state.position[prey] - state.position[agents:]
        toward = toward / jnp.maximum(jnp.linalg.norm(toward, axis=-1, keepdims=True), 1e-6)

        # Whom each unit aims at, -1 for no one; and where it goes.
        aim = jnp.concatenate(
            [jnp.where(action >= FIXED_ACTIONS, agents + action - FIXED_ACTIONS, -1), jnp.where(near, prey, -1)]
        )
        walk = jnp.where((action >= 2) & (action < FIXED_ACTIONS), action - 1, 0)
        direction = jnp.concatenate([jnp.asarray(MOVES)[walk], jnp.where(near[:, None], 0.0, toward)])

        distance = jnp.take_along_axis(apart, jnp.maximum(aim, 0)[:, None], axis=1)[:, 0]
        hits = alive & (aim >= 0) & (state.cooldown <= 0) & alive[aim] & (distance <= reach)
        damage = jnp.zeros(len(aim)).at[aim].add(jnp.where(hits, self._damage[state.kind], 0.0))
        health = jnp.maximum(state.health - damage, 0.0)
        cooldown = jnp.where(hits, self._pause[state.kind].astype(jnp.int32), state.cooldown) - 1

        # Those alive walk, and push each other apart where they overlap.
        position = state.position + direction * (alive * self._speed[state.kind])[:, None]
        delta = position[:, None] - position[None]
        between = jnp.sqrt(jnp.sum(delta**2, axis=-1) + 1e-9)
        both = alive[:, None] & alive[None]
        overlap = jnp.where(both, jnp.maximum(2 * RADIUS - between, 0.0), 0.0)
        position = position + 0.5 * jnp.sum(delta / between[..., None] * overlap[..., None], axis=1)
        position = jnp.clip(position, 0.0, SIDE)

        before, after = state.health[agents:].sum(), health[agents:].sum()
        state = Battle(position, health, jnp.maximum(cooldown, 0), state.kind, state.time + 1)
        won, lost = after <= 0, health[:agents].sum() <= 0
        reward = (before - after) / self._health[state.kind[agents:]].sum() + won
        truncated = (state.time >= self.max_steps) & ~(won | lost)
        return self._observe(state), state, reward, won | lost, truncated, {"success": won}

    def _observe(self, state: Battle) -> Observation:
        agents = self.num_agents
        alive = state.health > 0
        health = state.health / self._health[state.kind]
        ready = state.cooldown / 3.0
        kind = (state.kind[:, None] == jnp.array(self._known)).astype(jnp.float32)
        if len(self._known) == 1:
            kind = kind[:, :0]
        apart = distances(state.position[:agents], state.position)
        visible = alive & (apart <= SIGHT)
        relative = (state.position[None] - state.position[:agents, None]) / SIGHT
        attackable = alive[agents:] & (apart[:, agents:] <= self._range[state.kind[:agents], None])

        known = jnp.concatenate([jnp.ones_like(health)[:, None], health[:, None], ready[:, None], kind], axis=-1)
        seen = (
            jnp.concatenate([relative, jnp.broadcast_to(known, (agents, *known.shape))], axis=-1) * visible[..., None]
        )
        friends = jnp.take_along_axis(seen[:, :agents], others(jnp.arange(agents))[..., None], axis=1)
        foes = jnp.concatenate([seen[:, agents:], attackable[..., None]], axis=-1)
        own = rows(known[:agents, 1:], state.position[:agents] / SIDE * 2 - 1, friends, foes)
        own = own * alive[:agents, None]

        moves = jnp.broadcast_to(alive[:agents, None], (agents, FIXED_ACTIONS - 1))
        available = jnp.concatenate([~alive[:agents, None], moves, attackable & alive[:agents, None]], axis=-1)
        world = jnp.concatenate([known * alive[:, None], state.position / SIDE * 2 - 1], axis=-1).reshape(-1)
        world = jnp.broadcast_to(world, (agents, len(world)))
        return Observation(own, available, alive[:agents], world)

    def scene(self, state: Battle) -> jax.Array:
        """What pictures show; see :class:`.teams.World`."""
        side = jnp.where(self._ours, 0.0, 1.0)
        health = state.health / self._health[state.kind]
        return jnp.concatenate([state.position, side[:, None], health[:, None]], axis=-1)
