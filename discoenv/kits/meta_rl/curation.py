"""Which levels agents live on: random ones, those of a fixed buffer, or those that they could have learned better.

The last is GROOVE (Jackson et al., 2023): levels are kept in a buffer with the regret that was measured on them, and
those with the highest regret are played again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .modes import Mode


class Buffer(NamedTuple):
    """N levels.

    Attributes:
        levels: pytree with ``[N, ...]``.
        lifetimes: ``[N]``, updates.
        score: regret, ``[N]``; 0 where there is none yet.
        active: an agent lives on it, ``[N]``, bool.
        new: it has no score, ``[N]``, bool.
    """

    levels: Any
    lifetimes: jax.Array
    score: jax.Array
    active: jax.Array
    new: jax.Array


class Choice(NamedTuple):
    """Levels for A agents: ``levels`` with ``[A, ...]``, ``lifetimes [A]``, and their places in the buffer ``[A]``."""

    levels: Any
    lifetimes: jax.Array
    slots: jax.Array


@dataclass(frozen=True)
class Curation:
    """How levels are chosen for agents whose predecessors have finished.

    Attributes:
        kind: ``random``: fresh levels; ``frozen``: uniformly from a buffer that never changes; ``alg_regret``: by
            regret against an A2C agent.
        size: N, levels in the buffer.
        p_replay: probability that a level with a score is played again, instead of one without.
        transform: ``rank`` replays the levels with the highest scores; ``proportional`` draws without replacement
            with weights ``exp(score / temperature)``.
        temperature: see there.
    """

    kind: Literal["random", "frozen", "alg_regret"] = "random"
    size: int = 4000
    p_replay: float = 0.5
    transform: Literal["rank", "proportional"] = "rank"
    temperature: float = 1.0

    @property
    def scored(self) -> bool:
        """Whether levels need scores."""
        return self.kind == "alg_regret"

    def check(self, agents: int) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: the buffer is too small for this number of agents, or a value is not one of those described.
        """
        if self.kind not in ("random", "frozen", "alg_regret"):
            raise ValueError(f"there is no curation {self.kind!r}; it must be random, frozen or alg_regret")
        if self.transform not in ("rank", "proportional"):
            raise ValueError(f"there is no transform {self.transform!r}; it must be rank or proportional")
        if not 0 <= self.p_replay <= 1 or self.temperature <= 0:
            raise ValueError("p_replay must be between 0 and 1, temperature above 0")
        if self.scored and self.size < 2 * agents:
            raise ValueError(f"a buffer of {self.size} levels is too small for {agents} agents: make it {2 * agents}")

    def init(self, key: jax.Array, mode: Mode, agents: int) -> tuple[Choice, Any]:
        """Levels for the first agents, and the buffer, which is empty for random levels."""
        fill, choose = jax.random.split(key)
        if self.kind == "random":
            return _fresh(choose, mode, agents), ()
        levels, lifetimes, _ = _fresh(fill, mode, self.size)
        no = jnp.zeros(self.size, bool)
        buffer = Buffer(levels, lifetimes, jnp.zeros(self.size), no, ~no)
        if self.kind == "frozen":
            return self._frozen(choose, buffer, agents), buffer
        slots = jax.random.permutation(choose, self.size)[:agents]
        return _at(buffer, slots), buffer._replace(active=no.at[slots].set(True))

    def select(
        self, key: jax.Array, mode: Mode, buffer: Any, slots: jax.Array, finished: jax.Array, scores: jax.Array
    ) -> tuple[Choice, Any]:
        """Levels for the successors of agents that have finished, and the buffer.

        Args:
            key: of all draws.
            mode: where fresh levels come from.
            buffer: from :meth:`init` or from here.
            slots: ``[A]``, places of the agents' levels in the buffer.
            finished: ``[A]``, bool.
            scores: ``[A]``, regret of those that have finished.

        Returns:
            Levels for all A agents, to be used for those that have finished, and the buffer.
        """
        agents = len(finished)
        if self.kind == "random":
            return _fresh(key, mode, agents), buffer
        if self.kind == "frozen":
            return self._frozen(key, buffer, agents), buffer
        refill, replay, draw, toss, shuffle = jax.random.split(key, 5)
        buffer = _scored(_refreshed(refill, mode, buffer, finished.sum(), agents), slots, finished, scores)
        known, unknown = ~buffer.active & ~buffer.new, ~buffer.active & buffer.new
        value = buffer.score
        if self.transform == "proportional":  # the largest of Gumbel-perturbed weights are a draw without replacement
            value = value / self.temperature + jax.random.gumbel(replay, value.shape)
        again = jax.lax.top_k(jnp.where(known, value, -jnp.inf), agents)[1]
        other = jax.lax.top_k(jnp.where(unknown, jax.random.uniform(draw, value.shape), -1.0), agents)[1]
        replayed = jax.random.bernoulli(toss, self.p_replay, (agents,)) & (known.sum() >= finished.sum())
        # The i-th candidates go to the i-th of the finished agents, in a random order.
        order = jnp.argsort(jnp.where(finished, jax.random.uniform(shuffle, (agents,)), 2.0))
        chosen = jnp.zeros_like(slots).at[order].set(jnp.where(replayed, again, other))
        slots = jnp.where(finished, chosen, slots)
        return _at(buffer, slots), buffer._replace(active=buffer.active.at[slots].set(True))

    @staticmethod
    def _frozen(key: jax.Array, buffer: Buffer, agents: int) -> Choice:
        return _at(buffer, jax.random.randint(key, (agents,), 0, len(buffer.score)))


def _fresh(key: jax.Array, mode: Mode, count: int) -> Choice:
    levels, lifetimes = jax.random.split(key)
    return Choice(
        jax.vmap(mode.sample)(jax.random.split(levels, count)),
        jax.vmap(mode.sample_lifetime)(jax.random.split(lifetimes, count)),
        jnp.zeros(count, jnp.int32),
    )


def _at(buffer: Buffer, slots: jax.Array) -> Choice:
    return Choice(jax.tree.map(lambda x: x[slots], buffer.levels), buffer.lifetimes[slots], slots.astype(jnp.int32))


def _refreshed(key: jax.Array, mode: Mode, buffer: Buffer, count: jax.Array, most: int) -> Buffer:
    """The buffer after its ``count`` least valuable levels were replaced: those without a score, then the lowest."""
    priority = jnp.where(buffer.new, -jnp.inf, buffer.score)
    worst = jnp.argsort(jnp.where(buffer.active, jnp.inf, priority))[:most]
    fresh = _fresh(key, mode, most)
    replaced = jnp.arange(most) < count

    def put(old: jax.Array, new: Any) -> jax.Array:
        new = jnp.broadcast_to(jnp.asarray(new, old.dtype), (most, *old.shape[1:]))
        return old.at[worst].set(jnp.where(replaced.reshape(-1, *[1] * (old.ndim - 1)), new, old[worst]))

    return buffer._replace(
        levels=jax.tree.map(put, buffer.levels, fresh.levels),
        lifetimes=put(buffer.lifetimes, fresh.lifetimes),
        score=put(buffer.score, 0),
        new=put(buffer.new, True),
    )


def _scored(buffer: Buffer, slots: jax.Array, finished: jax.Array, scores: jax.Array) -> Buffer:
    """The buffer with the scores of levels whose agents have finished; they are free again."""
    of_finished = jnp.where(finished, slots, len(buffer.score))  # what is out of range is dropped
    return buffer._replace(
        score=buffer.score.at[of_finished].set(scores, mode="drop"),
        active=buffer.active.at[of_finished].set(False, mode="drop"),
        new=buffer.new.at[of_finished].set(False, mode="drop"),
    )
