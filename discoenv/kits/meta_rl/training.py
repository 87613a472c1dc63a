"""Meta-training: the outer loop, and the replacement of agents whose lifetime is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from . import evolution, meta_gradient
from .checkpoints import load_tree, save_tree
from .curation import Choice
from .lives import Life, begin_life, of_those, regret
from .logs import Log
from .modes import Mode
from .optimisers import Trained
from .rollouts import episode_returns
from .rule_net import Params
from .settings import EvolutionStrategy, MetaGradient, Settings

#: Files in the folder of a run.
CHECKPOINT: Final = "checkpoint.npz"
RULE: Final = "rule.npz"


class MetaState(NamedTuple):
    """Of meta-training, and all that a checkpoint contains.

    Attributes:
        step: steps of the rule that were made, ``[]``.
        rule: its parameters, and the state of their optimiser.
        lives: the population, ``[A, ...]``.
        buffer: of levels; empty for random levels.
    """

    step: jax.Array
    rule: Trained
    lives: Life
    buffer: Any


def init(settings: Settings) -> MetaState:
    """The state before the first step."""
    state: MetaState = _init(settings)
    return state


def advance(state: MetaState, settings: Settings, steps: int) -> tuple[MetaState, dict[str, jax.Array]]:
    """Make some steps of the rule, compiled from end to end.

    Returns:
        The state after them, and the numbers of each for the log, ``[steps]``. ``finished`` is the number of agents
        whose lifetime ended; ``return`` and ``regret`` are the means of these, NaN if there are none; where levels need
        no scores, regret is not measured, and is NaN.
    """
    state, logs = _advance(state, settings, steps)
    return state, logs


def initial_rule(settings: Settings) -> Params:
    """Parameters of the rule before the first step."""
    params = settings.rule.init(jax.random.split(jax.random.key(settings.seed), 3)[0])
    zeros = isinstance(settings.outer, EvolutionStrategy) and settings.outer.init == "zeros"
    return jax.tree.map(jnp.zeros_like, params) if zeros else params


def saved_step(folder: Path) -> int:
    """Number of steps after which the last checkpoint in a folder was written; 0 if there is none."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    with np.load(path) as arrays:
        return int(arrays["step"])


def _initial(settings: Settings) -> MetaState:
    _, levels, bodies = jax.random.split(jax.random.key(settings.seed), 3)
    outer, params = settings.outer, initial_rule(settings)
    optimiser = meta_gradient.optimiser(outer) if isinstance(outer, MetaGradient) else evolution.optimiser(outer)
    rule, mode = optimiser.init(params), settings.mode()
    choice, buffer = settings.curation.init(levels, mode, settings.num_agents)
    return MetaState(jnp.int32(0), rule, _begin(bodies, choice, settings, mode), buffer)


def _advanced(state: MetaState, settings: Settings, steps: int) -> tuple[MetaState, dict[str, jax.Array]]:
    mode = settings.mode()
    state, logs = jax.lax.scan(lambda state, _: _step(state, settings, mode), state, None, steps)
    return state, logs


def _step(state: MetaState, settings: Settings, mode: Mode) -> tuple[MetaState, dict[str, jax.Array]]:
    # The draws of a step depend on its number alone, so a run that is resumed makes the same ones.
    key = jax.random.fold_in(jax.random.key(settings.seed), state.step)
    learn, renew = jax.random.split(key)
    outer_step = meta_gradient.meta_gradient_step if isinstance(settings.outer, MetaGradient) else evolution.es_step
    rule, lives, logs = outer_step(learn, state.rule, state.lives, settings, mode)
    finished = lives.agent.step >= lives.lifetime
    nothing = jnp.zeros(len(finished))
    lives, buffer, returns, scores = jax.lax.cond(
        finished.any(),
        lambda: _renewed(renew, lives, state.buffer, finished, settings, mode),
        lambda: (lives, state.buffer, nothing, nothing),
    )
    count = logs["finished"] = finished.sum()
    logs["return"] = jnp.where(count > 0, returns.sum() / count.clip(min=1), jnp.nan)
    logs["regret"] = jnp.where(settings.curation.scored & (count > 0), scores.sum() / count.clip(min=1), jnp.nan)
    return MetaState(state.step + 1, rule, lives, buffer), logs


def _begin(key: jax.Array, choice: Choice, settings: Settings, mode: Mode) -> Life:
    keys = jax.random.split(key, settings.num_agents)
    lives: Life = jax.vmap(lambda key, *chosen: begin_life(key, settings, mode, *chosen))(keys, *choice)
    return lives


def _renewed(
    key: jax.Array, lives: Life, buffer: Any, finished: jax.Array, settings: Settings, mode: Mode
) -> tuple[Life, Any, jax.Array, jax.Array]:
    """The population with new agents in the places of those that have finished, and the buffer.

    Also returns and regret of those that have finished, ``[A]``; regret is 0 where levels need no scores.
    """
    judge, play, choose, bodies = jax.random.split(key, 4)

    def measured(of: Callable[[jax.Array, Life], jax.Array], key: jax.Array) -> jax.Array:
        def of_some(indices: jax.Array) -> jax.Array:
            keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(indices)
            values: jax.Array = jax.vmap(of)(keys, jax.tree.map(lambda x: x[indices], lives))
            return values

        return of_those(of_some, finished, settings.num_agents // settings.num_mini_batches)

    def mean_return(key: jax.Array, life: Life) -> jax.Array:
        actor = life.agent.actor.params
        return episode_returns(key, mode.world, actor, life.level, settings.log_episodes, mode.max_steps).mean()

    returns, scores = measured(mean_return, play), jnp.zeros(len(finished))
    if settings.curation.scored:
        scores = measured(lambda key, life: regret(key, settings, mode, life), judge)
    choice, buffer = settings.curation.select(choose, mode, buffer, lives.slot, finished, scores)
    fresh = _begin(bodies, choice, settings, mode)

    def either(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(finished.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(either, fresh, lives), buffer, returns, scores


# Settings are constants of the compiled programs, which are kept for the next call with equal ones.
_init = jax.jit(_initial, static_argnums=0)
_advance = jax.jit(_advanced, static_argnums=(1, 2))


def meta_train(
    settings: Settings,
    folder: Path | None = None,
    *,
    resume: bool = False,
    logs: Sequence[Log] = (),
    log_every: int = 10,
    checkpoint_every: int = 100,
    debug: bool = False,
) -> MetaState:
    """Train a rule.

    Args:
        settings: of the run.
        folder: where ``checkpoint.npz`` and, with the rule's parameters alone, ``rule.npz`` are written; None: nowhere.
        resume: go on from the checkpoint, if there is one. The result is that of a run that was never interrupted.
        logs: each is called with the number of steps made, and means over the last ``log_every`` of them:
            see :func:`advance`.
        log_every: steps between two entries of the log.
        checkpoint_every: steps between two checkpoints; they are made together with the next entry of the log.
        debug: compile nothing, so that values can be printed and stepped through. Use few agents and a small mode.

    Returns:
        The last state; ``state.rule.params`` are the parameters of the rule.

    Raises:
        ValueError: the checkpoint belongs to other settings; the message names what differs.
    """
    with jax.disable_jit(debug):
        state = init(settings)
        if resume and folder is not None and (folder / CHECKPOINT).exists():
            state = load_tree(folder / CHECKPOINT, state)
        saved = int(state.step)
        while (step := int(state.step)) < settings.train_steps:
            state, numbers = advance(state, settings, min(log_every - step % log_every, settings.train_steps - step))
            step = int(state.step)
            entry = _means(numbers)
            for log in logs:
                log(step, entry)
            if folder is not None and (step - saved >= checkpoint_every or step >= settings.train_steps):
                save_tree(folder / CHECKPOINT, state)
                save_tree(folder / RULE, state.rule.params)
                saved = step
    return state


def _means(numbers: Mapping[str, jax.Array]) -> dict[str, float]:
    """Means over steps without NaN; what is NaN in all steps is left out. ``finished`` is a sum."""
    means = {}
    for name, values in numbers.items():
        known = np.asarray(values, float)[~np.isnan(values)]
        if known.size:
            means[name] = float(known.sum() if name == "finished" else known.mean())
    return means
