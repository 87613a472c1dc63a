"""Two cooks in a narrow kitchen, after Overcooked (Carroll et al. 2019) and its layouts.

A soup is made of ``onions`` onions in a pot, cooks for ``cook_steps`` steps, and is served on a plate. Cooks move at
the same time and block each other. Actions: 0 to 3 left, right, up, down (to turn, where the way is blocked), 4 stay,
5 interact with what is in front: take, put down, fill, serve. Reward: 1 for a soup that is served. Episodes are
truncated after ``max_steps``. Success: a soup is served.

Cooks begin on random cells, in random directions, with nothing, an onion, a plate or a soup in their hands.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .teams import Observation

#: ``W`` counter, ``O`` onions, ``B`` plates, ``P`` pot, ``X`` where soups are served, space floor.
LAYOUTS: Final = {
    "cramped_room": ("WWPWW", "O   O", "W   W", "WBWXW"),
    "asymmetric_advantages": ("WWWWWWWWW", "O WXWOW X", "W   P   W", "W   P   W", "WWWBWBWWW"),
    "coordination_ring": ("WWWPW", "W   P", "B W W", "O   W", "WOXWW"),
    "forced_coordination": ("WWWPW", "O W P", "O W W", "B W W", "WWWXW"),
    "counter_circuit": ("WWWPPWWW", "W      W", "B WWWW X", "W      W", "WWWOOWWW"),
}
NOTHING, ONION, PLATE, SOUP = range(4)
_DIRECTIONS = np.array([[0, -1], [0, 1], [-1, 0], [1, 0]])


class Service(NamedTuple):
    """State of a kitchen of C cells: cooks' cells, directions and hands; on each cell an item, onions in the pot there,
    steps that it has cooked; steps so far.
    """

    cell: jax.Array
    facing: jax.Array
    hand: jax.Array
    item: jax.Array
    filled: jax.Array
    cooked: jax.Array
    time: jax.Array


class Kitchen:
    """A kitchen.

    Args:
        name: of its layout.
        onions, cook_steps, max_steps: see the top of the file.

    Raises:
        ValueError: there is no such layout.
    """

    continuous = False
    num_agents = 2
    num_actions = 6

    def __init__(self, name: str, onions: int = 3, cook_steps: int = 20, max_steps: int = 400) -> None:
        if name not in LAYOUTS:
            raise ValueError(f"there is no kitchen {name!r}; ENV_NAME must be one of {', '.join(LAYOUTS)}")
        self.onions, self.cook_steps, self.max_steps = onions, cook_steps, max_steps
        plan = np.array([list(row) for row in LAYOUTS[name]])
        height, width = plan.shape
        kinds = plan.reshape(-1)
        cells = np.stack(np.divmod(np.arange(height * width), width), axis=-1)
        ahead = np.clip(cells[:, None] + _DIRECTIONS, 0, [height - 1, width - 1])
        self._plan, self._ahead = kinds, jnp.array(ahead @ [width, 1])
        self._floor, self._shape = jnp.array(kinds == " "), (height, width)
        self._is = {kind: jnp.array(kinds == kind) for kind in "WOBPX"}
        self._cells = [int(cell) for cell in np.flatnonzero(kinds == " ")]
        self._pots = [int(cell) for cell in np.flatnonzero(kinds == "P")]
        # Counters that a cook can reach.
        reach = {int(cell) for floor in self._cells for cell in ahead[floor] @ [width, 1]}
        self._counters = [int(cell) for cell in np.flatnonzero(kinds == "W") if int(cell) in reach]
        self._regions = _regions(self._cells, ahead @ [width, 1])

    def reset(self, key: jax.Array) -> tuple[Observation, Service]:
        """A new episode; see :class:`.teams.World`."""
        first_key, second_key, facing_key, hand_key = jax.random.split(key, 4)
        regions = self._regions
        first = jax.random.choice(first_key, jnp.array(regions[0]))
        choices = jnp.array(regions[-1])
        # Where all can go everywhere, the second begins on another cell than the first.
        free = jnp.where(choices == first, 0.0, 1.0)
        second = jax.random.choice(second_key, choices, p=free / free.sum())
        cells = len(self._plan)
        none = jnp.zeros(cells, jnp.int32)
        facing = jax.random.randint(facing_key, (2,), 0, 4)
        # Who begins with a soup learns early what soups are for.
        hands = jax.random.randint(hand_key, (2,), NOTHING, SOUP + 1)
        state = Service(jnp.stack([first, second]), facing, hands, none, none, none, jnp.int32(0))
        return self._observe(state), state

    def step(self, key: jax.Array, state: Service, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        del key
        facing = jnp.where(action < 4, action, state.facing)
        wish = jnp.where(action < 4, self._ahead[state.cell, facing], state.cell)
        wish = jnp.where(self._floor[wish], wish, state.cell)
        meet = wish[0] == wish[1]
        swap = (wish[0] == state.cell[1]) & (wish[1] == state.cell[0])
        cell = jnp.where(meet | swap, state.cell, wish)
        cooked = state.cooked + (state.filled >= self.onions)
        state = state._replace(cell=cell, facing=facing, cooked=cooked, time=state.time + 1)
        served, hints = jnp.int32(0), jnp.float32(0.0)
        for cook in range(2):
            state, soup, hint = self._interact(state, cook, action[cook] == 5)
            served, hints = served + soup, hints + hint
        reward = served.astype(jnp.float32)
        over = state.time >= self.max_steps
        info = {"success": served > 0, "shaping": hints}
        return self._observe(state), state, reward, jnp.zeros((), bool), over, info

    def _interact(self, state: Service, cook: int, does: jax.Array) -> tuple[Service, jax.Array, jax.Array]:
        """What a cook does to the cell in front: the state after it, soups served, and a hint's worth."""
        there = self._ahead[state.cell[cook], state.facing[cook]]
        hand, item = state.hand[cook], state.item[there]
        filled, cooked = state.filled[there], state.cooked[there]
        is_ = {kind: cells[there] & does for kind, cells in self._is.items()}
        empty = hand == NOTHING
        takes_onion, takes_plate = is_["O"] & empty, is_["B"] & empty
        fills = is_["P"] & (hand == ONION) & (filled < self.onions)
        ready = (filled >= self.onions) & (cooked >= self.cook_steps)
        ladles = is_["P"] & (hand == PLATE) & ready
        serves = is_["X"] & (hand == SOUP)
        puts, picks = is_["W"] & ~empty & (item == NOTHING), is_["W"] & empty & (item != NOTHING)

        # A plate is worth something while a pot waits for one and no other plate is about.
        waiting = (state.filled >= self.onions).sum() > (state.hand == PLATE).sum() + (state.item == PLATE).sum()
        hint = 0.15 * fills + 0.15 * (takes_plate & waiting) + 0.25 * ladles

        new_hand = jnp.where(takes_onion, ONION, jnp.where(takes_plate, PLATE, jnp.where(ladles, SOUP, hand)))
        new_hand = jnp.where(fills | serves | puts, NOTHING, jnp.where(picks, item, new_hand))
        new_item = jnp.where(puts, hand, jnp.where(picks, NOTHING, item))
        state = state._replace(
            hand=state.hand.at[cook].set(new_hand),
            item=state.item.at[there].set(new_item),
            filled=state.filled.at[there].set(jnp.where(ladles, 0, filled + fills)),
            cooked=state.cooked.at[there].set(jnp.where(ladles, 0, cooked)),
        )
        return state, serves.astype(jnp.int32), hint

    def _observe(self, state: Service) -> Observation:
        floor, pots, counters = (jnp.array(cells) for cells in (self._cells, self._pots, self._counters))
        where = (state.cell[:, None] == floor).astype(jnp.float32)
        faces = self._ahead[state.cell, state.facing]
        ahead = jnp.stack([is_[faces] for is_ in self._is.values()], axis=-1).astype(jnp.float32)
        cook = jnp.concatenate([where, jax.nn.one_hot(state.facing, 4), ahead, jax.nn.one_hot(state.hand, 4)], axis=-1)
        pot = jnp.stack(
            [
                state.filled[pots] / self.onions,
                state.cooked[pots] / self.cook_steps,
                state.cooked[pots] >= self.cook_steps,
            ],
            axis=-1,
        )
        items = (state.item[counters][:, None] == jnp.arange(1, 4)).astype(jnp.float32)
        kitchen = jnp.concatenate([pot.reshape(-1), items.reshape(-1)])
        both = jnp.broadcast_to(kitchen, (2, len(kitchen)))
        own = jnp.concatenate([cook, cook[::-1], both], axis=-1)
        world = jnp.concatenate([cook.reshape(-1), kitchen, state.time[None] / self.max_steps])
        world = jnp.broadcast_to(world, (2, len(world)))
        return Observation(own, jnp.ones((2, self.num_actions), bool), jnp.ones(2, bool), world)

    def scene(self, state: Service) -> jax.Array:
        """What pictures show; see :class:`.teams.World`."""
        height, width = self._shape
        rows, columns = jnp.divmod(jnp.arange(height * width), width)
        plan = jnp.array([" WOBPX".index(kind) for kind in self._plan])
        row, column = jnp.divmod(state.cell, width)
        cells = jnp.stack([columns, height - 1 - rows, 10 + plan, state.item + state.filled], axis=-1)
        cooks = jnp.stack([column, height - 1 - row, jnp.zeros(2, jnp.int32), state.hand], axis=-1)
        return jnp.concatenate([cells, cooks]).astype(jnp.float32)


def _regions(floor: list[int], ahead: np.ndarray[Any, Any]) -> list[list[int]]:
    """Cells that can be reached from each other; the largest first."""
    left, regions = set(floor), []
    while left:
        region, edge = set(), [min(left)]
        while edge:
            cell = edge.pop()
            if cell in left:
                left.discard(cell)
                region.add(cell)
                edge += [int(after) for after in ahead[cell]]
        regions.append(sorted(region))
    return sorted(regions, key=lambda region: (-len(region), region))[:2]
