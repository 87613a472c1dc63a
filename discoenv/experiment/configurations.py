"""Sets of configurations: fixed values, grids, random draws, and values that depend on others."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from discoenv.errors import ConditionError

_T = TypeVar("_T")
SampleMode = Literal["fresh", "shared"]


class Grid(list[_T]):
    """Values to be tried one after another, each with all values of the other grids."""


class Sample(Generic[_T]):
    """A value that is drawn anew for each configuration; calling it is one draw.

    Args:
        f: without arguments; or with one called ``rng``, a ``numpy.random.Generator``.

    Raises:
        TypeError: ``f`` cannot be called.
    """

    def __init__(self, f: Callable[..., _T]) -> None:
        if not callable(f):
            raise TypeError(f"Sample wraps a function that draws one value, not {f!r}")
        self.f = f
        self._takes_rng = _takes_rng(f)

    def __call__(self, rng: np.random.Generator | None = None) -> _T:
        """Draw a value.

        Args:
            rng: source of randomness; None: NumPy's global generator.
        """
        if self._takes_rng:
            return self.f(rng=rng or np.random.default_rng(np.random.randint(2**31, size=4)))
        with contextlib.nullcontext() if rng is None else _global_generators(rng):
            return self.f()


class Condition:
    """A value that follows from the rest of the configuration.

    Args:
        f: a function of the configuration, a dict.

    Raises:
        TypeError: ``f`` cannot be called.
    """

    def __init__(self, f: Callable[[dict[str, Any]], Any]) -> None:
        if not callable(f):
            raise TypeError(f"Condition wraps a function of the configuration, not {f!r}")
        self.f = f

    def __call__(self, config: dict[str, Any]) -> Any:
        """The value in this configuration."""
        return self.f(config)


class Config:
    """A set of configurations.

    Args:
        items: value by key. A :class:`Grid` is searched over, a :class:`Sample` drawn, a :class:`Condition` evaluated
            last; everything else, a plain list too, is the same in each configuration. Seeds do not belong here.
        num_sample: how often the grid is repeated with new draws; without a :class:`Sample` it is not.
        keep_dict_order: keys are in the order of ``items``, not fixed ones before grids before samples.
        sample_mode: ``fresh``: the whole grid, then the whole grid again, and so on, with a draw for each
            configuration. ``shared``: ``num_sample`` draws, which all grid points have in common; configurations of
            one grid point follow each other.

    Raises:
        TypeError: ``items`` is not a dict, or ``num_sample`` not an integer.
        ValueError: a key is ``ID``, ``seed`` or ``seeds``; ``num_sample`` is not positive; a grid is empty.
    """

    def __init__(
        self,
        items: dict[str, Any],
        num_sample: int = 1,
        keep_dict_order: bool = False,
        *,
        sample_mode: SampleMode = "fresh",
    ) -> None:
        if not isinstance(items, dict):
            raise TypeError(f"items must be a dict of configuration items, not {type(items).__name__}")
        if not isinstance(num_sample, int):
            raise TypeError(f"num_sample must be an integer, not {num_sample!r}")
        if num_sample < 1:
            raise ValueError(f"num_sample is {num_sample}; at least one draw is needed")
        if sample_mode not in ("fresh", "shared"):
            raise ValueError(f"sample_mode is {sample_mode!r}; known are 'fresh' and 'shared'")
        for key, value in items.items():
            if key in ("ID", "seed", "seeds"):
                reason = "it numbers the configurations" if key == "ID" else "give the seeds to run_experiment"
                raise ValueError(f"items: {key!r} cannot be a configuration item: {reason}")
            if isinstance(value, Grid) and not value:
                raise ValueError(f"items: {key!r} is an empty grid, so there would be no configuration")
        self.items = items
        self.keep_dict_order = keep_dict_order
        self.sample_mode = sample_mode
        self._grids = {key: value for key, value in items.items() if isinstance(value, Grid)}
        self._samples = {key: value for key, value in items.items() if isinstance(value, Sample)}
        self._fixed = {key: value for key, value in items.items() if key not in {*self._grids, *self._samples}}
        self.num_sample = num_sample if self._samples else 1

    def make_configs(
        self, seed: int | None = None, *, draws: Sequence[Mapping[str, Any]] | None = None
    ) -> list[dict[str, Any]]:
        """All configurations; ``ID``, the first key, numbers them from 0.

        Configuration ``n`` has grid point ``n mod G`` of ``G`` (in mode ``fresh``); the first grid varies slowest.

        Args:
            seed: makes the draws reproducible, also those of functions that use the global generators of NumPy and
                ``random``. A configuration's draws depend on the seed, its ID and the key alone.
            draws: earlier configurations, whose draws are to be taken again, by ID; what they lack is drawn.

        Raises:
            ConditionError: conditions cannot be evaluated.
        """
        points = [dict(zip(self._grids, values, strict=True)) for values in itertools.product(*self._grids.values())]
        known = {earlier["ID"]: earlier for earlier in draws or ()}
        return [
            self._make(number, points, seed, known.get(number, {})) for number in range(len(points) * self.num_sample)
        ]

    def _make(
        self, number: int, points: list[dict[str, Any]], seed: int | None, earlier: Mapping[str, Any]
    ) -> dict[str, Any]:
        if self.sample_mode == "fresh":
            point, draw = points[number % len(points)], number
        else:
            point, draw = points[number // self.num_sample], number % self.num_sample
        drawn = {
            key: earlier[key] if key in earlier else sample(_generator(seed, draw, key))
            for key, sample in self._samples.items()
        }
        values = {"ID": number, **self._fixed, **point, **drawn}
        if self.keep_dict_order:
            values = {"ID": number} | {key: values[key] for key in self.items}
        return _evaluated(values)


def log_uniform(low: float, high: float) -> Sample[float]:
    """Draws exp(u), u uniform in [log low, log high): for positive scale parameters such as learning rates."""
    if not 0 < low <= high:
        raise ValueError(f"log_uniform needs 0 < low ≤ high, not {low} and {high}")
    return Sample(lambda rng: float(math.exp(rng.uniform(math.log(low), math.log(high)))))


def uniform(low: float, high: float) -> Sample[float]:
    """Draws a number uniformly from [low, high)."""
    return Sample(lambda rng: float(rng.uniform(low, high)))


def int_uniform(low: int, high: int) -> Sample[int]:
    """Draws an integer uniformly from low, …, high, both included."""
    return Sample(lambda rng: int(rng.integers(low, high, endpoint=True)))


def choice(values: Sequence[_T]) -> Sample[_T]:
    """Draws one of ``values``."""
    return Sample(lambda rng: values[int(rng.integers(len(values)))])


class _Unfinished(KeyError):
    """A condition wants to know the value of one that was not evaluated yet."""


class _Partial(dict[str, Any]):
    """A configuration of which some conditions are not evaluated yet: reading one of these is an error."""

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, Condition):
            raise _Unfinished(key)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 - it is what get() would call


def _evaluated(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with its conditions evaluated, in the order of keys, later where one needs another."""
    partial = _Partial(config)
    waiting = [key for key, value in config.items() if isinstance(value, Condition)]
    while waiting:
        left: dict[str, str] = {}
        for key in waiting:
            try:
                partial[key] = config[key](partial)
            except _Unfinished as error:
                left[key] = str(error.args[0])
        if len(left) == len(waiting):
            circle = ", ".join(f"{key!r} reads {other!r}" for key, other in left.items())
            raise ConditionError(f"conditions wait for each other: {circle}; let one of them read plain values only")
        waiting = list(left)
    return dict(partial)


def _generator(seed: int | None, number: int, key: str) -> np.random.Generator | None:
    return None if seed is None else np.random.default_rng([seed, number, zlib.crc32(key.encode())])


@contextlib.contextmanager
def _global_generators(rng: np.random.Generator) -> Iterator[None]:
    """NumPy's and Python's global generators seeded by ``rng``, and put back as they were."""
    numpys, pythons = np.random.get_state(), random.getstate()
    word = int(rng.integers(2**32))
    np.random.seed(word)
    random.seed(word)
    try:
        yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)


def _takes_rng(f: Callable[..., Any]) -> bool:
    try:
        return "rng" in inspect.signature(f).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False
