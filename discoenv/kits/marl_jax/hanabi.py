"""Hanabi (Bard et al. 2020) for two players, with few cards.

Each colour's cards are to be played in order of their ranks. A player sees the other's cards and not its own; hints say
which of the other's cards have a colour or a rank, and cost a token, which a discard brings back. A card that does not
fit costs a life. The game ends when all is played, when no life is left, or one turn of each after the last card was
drawn.

Actions: 0 nothing (who is not on turn), then play card i, discard card i, hint colour c, hint rank r. Reward: 1 for a
card that fits; points stay when the last life is lost. Success: all cards of all colours lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .teams import Observation


def make(name: str, options: Mapping[str, Any]) -> Hanabi:
    """small (two colours) or tiny (one colour); ``options`` are arguments of :class:`Hanabi`."""
    sizes: dict[str, dict[str, int]] = {
        "tiny": {"colours": 1, "ranks": 5, "hand": 2, "tokens": 3, "lives": 1},
        "small": {"colours": 2, "ranks": 5, "hand": 2, "tokens": 3, "lives": 2},
        "full": {"colours": 5, "ranks": 5, "hand": 5, "tokens": 8, "lives": 3},
    }
    if name not in sizes:
        raise ValueError(f"there is no game {name!r} of hanabi; ENV_NAME must be one of {', '.join(sizes)}")
    return Hanabi(**{**sizes[name], **options})


class Game(NamedTuple):
    """State of a game: the deck in its order and cards drawn; hands, -1 for none; what each card's owner knows of its
    colour and rank (what it can be); the highest rank that lies of each colour; cards of each kind discarded; tokens,
    lives, whose turn, turns since the deck is empty, and the last action.
    """

    deck: jax.Array
    drawn: jax.Array
    hands: jax.Array
    colours: jax.Array
    ranks: jax.Array
    lying: jax.Array
    discarded: jax.Array
    tokens: jax.Array
    lives: jax.Array
    turn: jax.Array
    last_turns: jax.Array
    last_action: jax.Array


class Hanabi:
    """A game; cards are numbers, colour times ``ranks`` plus rank."""

    continuous = False
    num_agents = 2

    def __init__(self, colours: int, ranks: int, hand: int, tokens: int, lives: int) -> None:
        self.colours, self.ranks, self.hand, self.tokens, self.lives = colours, ranks, hand, tokens, lives
        self.num_actions = 1 + 2 * hand + colours + ranks
        copies = np.array([3] + [2] * (ranks - 2) + [1])
        self._cards = jnp.array([c * ranks + r for c in range(colours) for r in range(ranks) for _ in range(copies[r])])
        self._copies = jnp.tile(jnp.array(copies, jnp.float32), colours)
        self.max_steps = 3 * len(self._cards)

    def reset(self, key: jax.Array) -> tuple[Observation, Game]:
        """A new episode; see :class:`.teams.World`."""
        deck = jax.random.permutation(key, self._cards)
        hands = deck[: 2 * self.hand].reshape(2, self.hand)
        zero = jnp.int32(0)
        state = Game(
            deck,
            jnp.int32(2 * self.hand),
            hands,
            jnp.ones((2, self.hand, self.colours), bool),
            jnp.ones((2, self.hand, self.ranks), bool),
            jnp.zeros(self.colours, jnp.int32),
            jnp.zeros(self.colours * self.ranks, jnp.int32),
            jnp.int32(self.tokens),
            jnp.int32(self.lives),
            zero,
            zero,
            zero,
        )
        return self._observe(state), state

    def step(self, key: jax.Array, state: Game, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        del key
        hand, me = self.hand, state.turn
        other, action = 1 - me, action[me]
        plays, discards = (action >= 1) & (action <= hand), (action > hand) & (action <= 2 * hand)
        hints = action > 2 * hand
        slot = jnp.where(plays, action - 1, jnp.where(discards, action - 1 - hand, 0))
        card = state.hands[me, slot]
        colour, rank = card // self.ranks, card % self.ranks
        fits = plays & (state.lying[colour] == rank)
        fails = plays & ~fits
        lying = state.lying.at[colour].add(fits)
        discarded = state.discarded.at[card].add(discards | fails)
        tokens = state.tokens - hints + discards + (fits & (rank == self.ranks - 1))
        tokens = jnp.clip(tokens, 0, self.tokens)

        # A new card, of which nothing is known, or none.
        leaves = plays | discards
        left = state.drawn < len(self._cards)
        new = jnp.where(left, state.deck[jnp.minimum(state.drawn, len(self._cards) - 1)], -1)
        hands = state.hands.at[me, slot].set(jnp.where(leaves, new, card))
        colours = state.colours.at[me, slot].set(state.colours[me, slot] | leaves)
        ranks = state.ranks.at[me, slot].set(state.ranks[me, slot] | leaves)

        # A hint says of each of the other's cards whether it has that colour, or that rank.
        said = action - 2 * hand - 1
        of_colour, of_rank = hints & (said < self.colours), hints & (said >= self.colours)
        theirs = hands[other]
        is_colour = jnp.arange(self.colours) == said
        has = (theirs // self.ranks == said)[:, None] == is_colour
        colours = colours.at[other].set(jnp.where(of_colour, colours[other] & has, colours[other]))
        is_rank = jnp.arange(self.ranks) == said - self.colours
        has = (theirs % self.ranks == said - self.colours)[:, None] == is_rank
        ranks = ranks.at[other].set(jnp.where(of_rank, ranks[other] & has, ranks[other]))

        state = Game(
            state.deck,
            state.drawn + (leaves & left),
            hands,
            colours,
            ranks,
            lying,
            discarded,
            tokens,
            state.lives - fails,
            other,
            state.last_turns + ~left,
            action,
        )
        complete = (lying == self.ranks).all()
        over = complete | (state.lives <= 0) | (state.last_turns >= 2)
        info = {"success": complete}
        return self._observe(state), state, fits.astype(jnp.float32), over, jnp.zeros((), bool), info

    def _observe(self, state: Game) -> Observation:
        on_turn = jnp.arange(2) == state.turn
        has = state.hands >= 0
        playing = on_turn[:, None] & has
        discarding = playing & (state.tokens < self.tokens)
        theirs = state.hands[::-1]
        held = theirs >= 0
        may_hint = (on_turn & (state.tokens > 0))[:, None]
        colour = ((theirs // self.ranks)[..., None] == jnp.arange(self.colours)) & held[..., None]
        rank = ((theirs % self.ranks)[..., None] == jnp.arange(self.ranks)) & held[..., None]
        hinting = jnp.concatenate([colour.any(axis=1), rank.any(axis=1)], axis=-1) & may_hint
        available = jnp.concatenate([~on_turn[:, None], playing, discarding, hinting], axis=-1)

        cards = jax.nn.one_hot(theirs, self.colours * self.ranks)
        known = jnp.concatenate([state.colours, state.ranks], axis=-1) * has[..., None]
        lying = jax.nn.one_hot(state.lying, self.ranks + 1).reshape(-1)
        public = jnp.concatenate(
            [
                lying,
                state.discarded / self._copies,
                jnp.stack([state.tokens / self.tokens, state.lives / self.lives, 1 - state.drawn / len(self._cards)]),
                jax.nn.one_hot(state.last_action, self.num_actions),
            ]
        )
        both = jnp.broadcast_to(public, (2, len(public)))
        parts = [on_turn[:, None].astype(jnp.float32), known, known[::-1], cards, both]
        own = jnp.concatenate([part.reshape(2, -1) for part in parts], axis=-1)
        world = jnp.concatenate([cards.reshape(-1), known.reshape(-1), public, on_turn]).astype(jnp.float32)
        return Observation(own, available, on_turn, jnp.broadcast_to(world, (2, len(world))))

    def scene(self, state: Game) -> jax.Array:
        """What pictures show; see :class:`.teams.World`."""
        colour = jnp.arange(self.colours)
        fireworks = jnp.stack([colour, jnp.full_like(colour, 3), 20 + colour, state.lying], axis=-1)
        cards = state.hands.reshape(-1)
        slot = jnp.arange(2 * self.hand)
        hands = jnp.stack(
            [slot % self.hand, slot // self.hand, 20 + cards // self.ranks, cards % self.ranks + 1], axis=-1
        )
        counts = jnp.stack(
            [jnp.array([0, 1]), jnp.array([2, 2]), jnp.array([30, 31]), jnp.stack([state.tokens, state.lives])], axis=-1
        )
        return jnp.concatenate([fireworks, hands, counts]).astype(jnp.float32)
