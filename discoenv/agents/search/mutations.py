"""Random changes of Python modules without a language model: numbers, switches, and choices among known functions.

The syntax tree says where something can be changed; the text around it, comments included, stays as it is.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from discoenv.python_text import tree_of

Rng = np.random.Generator

#: Numbers are multiplied by up to this factor, or divided by it, log-uniformly.
FACTOR: Final = 4.0

_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_NOT_HYPERPARAMETERS = frozenset({"axis", "axes", "ndim", "dtype", "ndmin", "shape", "keepdims", "indent"})
_SHAPING = frozenset(
    [
        "reshape",
        "transpose",
        "swapaxes",
        "moveaxis",
        "expand_dims",
        "squeeze",
        "astype",
        "int32",
        "int64",
        "arange",
        "broadcast_to",
        "take",
        "split",
    ]
)
#: Functions of one array, applied to each element.
_ELEMENTWISE = frozenset(
    ["floor", "ceil", "round", "tanh", "exp", "expm1", "log", "log1p", "sqrt", "square", "abs", "sign", "sin", "cos"]
)
#: What a term may be turned into when another one is added: {n} is NumPy's name, {t} the term.
_NEW_TERMS = (
    "{n}.sin(2 * {n}.pi * ({t}))",
    "{n}.cos(2 * {n}.pi * ({t}))",
    "{n}.sin({n}.pi / 6 * ({t}))",
    "{n}.cos({n}.pi / 6 * ({t}))",
    "({t}) ** 2",
    "{n}.sqrt({n}.abs({t}))",
    "{n}.log1p({n}.abs({t}))",
    "{n}.tanh({t})",
)
_STACKING = frozenset({"stack", "column_stack", "concatenate", "hstack", "vstack"})
_NUMPY = frozenset({"np", "jnp", "numpy"})
#: By the last part of the module's name: families whose members take the same arguments.
_FAMILIES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "nn": (("relu", "gelu", "silu", "elu", "tanh", "softplus", "leaky_relu", "sigmoid", "selu", "celu"),),
    "np": (("minimum", "maximum"), ("mean", "median"), ("tanh", "sin", "arctan"), ("floor", "ceil", "round")),
    "jnp": (("minimum", "maximum"), ("mean", "median"), ("tanh", "sin", "arctan"), ("floor", "ceil", "round")),
    "initializers": (("lecun_normal", "he_normal", "glorot_normal", "lecun_uniform", "he_uniform", "glorot_uniform"),),
}
#: optax's optimisers, and the settings besides the learning rate that each takes.
_OPTIMISERS: Mapping[str, frozenset[str]] = {
    name: frozenset(settings.split())
    for name, settings in {
        "adam": "b1 b2 eps eps_root nesterov",
        "adamw": "b1 b2 eps eps_root weight_decay nesterov",
        "nadam": "b1 b2 eps eps_root",
        "radam": "b1 b2 eps eps_root",
        "adabelief": "b1 b2 eps eps_root",
        "amsgrad": "b1 b2 eps eps_root",
        "adamax": "b1 b2 eps",
        "yogi": "b1 b2 eps",
        "lamb": "b1 b2 eps eps_root weight_decay",
        "lion": "b1 b2 weight_decay",
        "rmsprop": "decay eps",
        "adagrad": "eps",
        "sgd": "momentum nesterov",
    }.items()
}
#: scikit-learn's linear regressions with default settings.
_REGRESSIONS = frozenset(["LinearRegression", "Ridge", "BayesianRidge", "HuberRegressor", "TheilSenRegressor", "Lasso"])


class NothingToMutate(ValueError):
    """No module holds a number, switch or function that could be changed."""


@dataclass(frozen=True)
class Site:
    """Something that can be changed: ``draw(rng)`` is new text for all ``spans`` (first and last + 1 character)."""

    spans: tuple[tuple[int, int], ...]
    old: str
    draw: Callable[[Rng], str]
    weight: float = 1.0

    def overlaps(self, other: Site) -> bool:
        """Whether the two cannot both be changed."""
        return any(a < d and c < b for a, b in self.spans for c, d in other.spans)


@dataclass(frozen=True)
class Mutation:
    """Changed modules, by file name, and one line for each change."""

    modules: dict[str, str]
    changes: tuple[str, ...]


def mutate(
    modules: Mapping[str, str], rng: Rng, *, changes: int = 1, configuration: Mapping[str, object] | None = None
) -> Mutation:
    """The modules with ``changes`` random changes (fewer, if there are not so many places).

    Args:
        modules: source text by file name; a file that is not valid Python is left alone.
        rng: source of randomness.
        changes: how many places to change, at least 1.
        configuration: the run's configuration; where a module reads a float of it (``config["GAMMA"]``), it may be
            scaled.

    Raises:
        NothingToMutate: there is no place to change.
    """
    places = [(name, site) for name in sorted(modules) for site in sites(modules[name], configuration or {})]
    if not places:
        raise NothingToMutate(f"{', '.join(sorted(modules))}: no number, switch or known function to change")
    weights = np.array([site.weight for _, site in places])
    order = rng.choice(len(places), size=len(places), replace=False, p=weights / weights.sum())
    chosen: list[tuple[str, Site]] = []
    for index in order:
        name, site = places[int(index)]
        if not any(other == name and site.overlaps(taken) for other, taken in chosen):
            chosen.append((name, site))
        if len(chosen) == changes:
            break
    result, described = dict(modules), []
    pieces: list[tuple[str, int, int, str]] = []
    for name, site in chosen:
        new = site.draw(rng)
        pieces += [(name, start, end, new) for start, end in site.spans]
        described.append(f"{name}: {_short(site.old)} -> {_short(new)}")
    for name, start, end, new in sorted(pieces, reverse=True):  # from the end, so that positions stay right
        result[name] = result[name][:start] + new + result[name][end:]
    return Mutation(result, tuple(described))


def sites(source: str, configuration: Mapping[str, object] | None = None) -> list[Site]:
    """The places of a module that can be changed, in a fixed order; none if it is not valid Python."""
    tree = tree_of(source)
    return [] if tree is None else list(_Sites(source, tree, configuration or {}).find())


class _Sites:
    """Finds places in one module."""

    def __init__(self, source: str, tree: ast.Module, configuration: Mapping[str, object]) -> None:
        self._source = source
        self._tree = tree
        self._configuration = configuration
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._lines = _LINE.findall(source)  # as Python counts lines; str.splitlines() knows more line breaks
        self._starts = [0, *itertools.accumulate(map(len, self._lines))]

    def find(self) -> Iterator[Site]:
        """All of them."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Constant) and not self._is_excluded(node):
                yield from self._constant(node)
            elif isinstance(node, ast.Call):
                yield from self._unwrapping(node)
                yield from self._optimiser(node)
                yield from self._terms(node)
            elif isinstance(node, ast.Attribute):
                yield from self._function(node)
            elif isinstance(node, ast.Subscript):
                yield from self._setting(node)
        yield from self._regression()

    def _constant(self, node: ast.Constant) -> Iterator[Site]:
        value = node.value
        if isinstance(value, bool):
            yield self._site(node, lambda rng: str(not value), 1.0)
        elif isinstance(value, int) and value != 0:
            yield self._site(node, lambda rng: _other_int(value, rng), 1.0 if value < 8 else 2.0)
        elif isinstance(value, float) and math.isfinite(value):
            yield self._site(node, lambda rng: _other_float(value, rng), 3.0 if value else 0.5)

    def _unwrapping(self, node: ast.Call) -> Iterator[Site]:
        """``np.floor(x)`` becomes ``x``."""
        base, name = _qualified(node.func)
        if base in _NUMPY and name in _ELEMENTWISE and len(node.args) == 1 and not node.keywords:
            inner = f"({self._text(node.args[0])})"
            yield self._site(node, lambda rng: inner, 2.0)

    def _optimiser(self, node: ast.Call) -> Iterator[Site]:
        base, name = _qualified(node.func)
        used = {keyword.arg for keyword in node.keywords} - {"learning_rate"}
        if base == "optax" and name in _OPTIMISERS and len(node.args) <= 1:
            others = [other for other, takes in _OPTIMISERS.items() if other != name and used <= takes]
            if others:
                yield self._site(node.func, lambda rng: f"optax.{_pick(others, rng)}", 2.0)

    def _terms(self, node: ast.Call) -> Iterator[Site]:
        """In ``np.stack([a, b])``, a function of a term is added, or a term is dropped."""
        base, name = _qualified(node.func)
        if base not in _NUMPY or name not in _STACKING or not node.args:
            return
        if not isinstance(node.args[0], (ast.List, ast.Tuple)) or len(node.args[0].elts) < 2:
            return
        terms = [self._text(each) for each in node.args[0].elts]
        single = [self._text(each) for each in node.args[0].elts if not isinstance(each, ast.Starred)]
        if not single:
            return

        def draw(rng: Rng) -> str:
            if rng.random() < 0.25 and len(terms) > 2:
                dropped = int(rng.integers(len(terms)))
                return f"[{', '.join(term for index, term in enumerate(terms) if index != dropped)}]"
            added = _pick(_NEW_TERMS, rng).format(n=base, t=_pick(single, rng))
            return f"[{', '.join([*terms, added])}]"

        yield self._site(node.args[0], draw, 4.0)

    def _function(self, node: ast.Attribute) -> Iterator[Site]:
        base, name = _qualified(node)
        for family in _FAMILIES.get(base, ()):
            if name in family and not self._is_excluded(node):
                prefix = self._text(node.value)
                others = [other for other in family if other != name]
                yield self._site(node, lambda rng, p=prefix, o=others: f"{p}.{_pick(o, rng)}", 1.0)  # type: ignore[misc]

    def _setting(self, node: ast.Subscript) -> Iterator[Site]:
        """``config["GAMMA"]`` is scaled, if it is a float."""
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        holder = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", None)
        value = self._configuration.get(key) if isinstance(key, str) and holder == "config" else None
        if not isinstance(value, float) or value == 0 or not isinstance(node.ctx, ast.Load):
            return
        parent = self._parents.get(node)
        if isinstance(parent, ast.BinOp) and isinstance(parent.left, ast.Constant):
            return  # scaled already: the factor is a number like any other
        text = self._text(node)

        def draw(rng: Rng) -> str:
            return f"({float(_other_float(value, rng)) / value:.4g} * {text})"

        yield self._site(node, draw, 2.0)

    def _regression(self) -> Iterator[Site]:
        """Another linear regression is imported and made."""
        imported = {
            alias.name: alias
            for node in ast.walk(self._tree)
            if isinstance(node, ast.ImportFrom) and node.module == "sklearn.linear_model"
            for alias in node.names
            if alias.asname is None
        }
        calls = [node for node in ast.walk(self._tree) if isinstance(node, ast.Call)]
        for name in sorted(imported.keys() & _REGRESSIONS):
            if any(_last_name(call.func) == name and (call.args or call.keywords) for call in calls):
                continue  # its settings may not be another's
            uses = [each for each in ast.walk(self._tree) if isinstance(each, ast.Name) and each.id == name]
            others = sorted(_REGRESSIONS - {name})
            places: list[ast.expr | ast.alias] = [imported[name], *uses]
            spans = tuple(self._span(place) for place in places)
            yield Site(spans, name, lambda rng, others=others: _pick(others, rng), 2.0)  # type: ignore[misc]

    def _is_excluded(self, node: ast.AST) -> bool:
        """Whether it stands where a change would only break something: an index, a shape, an annotation."""
        child, parent = node, self._parents.get(node)
        while parent is not None and not isinstance(parent, (ast.stmt, ast.Module)):
            if isinstance(parent, ast.Subscript) and child is parent.slice:
                return True
            if isinstance(parent, ast.keyword) and parent.arg in _NOT_HYPERPARAMETERS:
                return True
            if isinstance(parent, ast.Call) and child is not parent.func and _last_name(parent.func) in _SHAPING:
                return True
            if isinstance(parent, (ast.JoinedStr, ast.arg)):
                return True
            child, parent = parent, self._parents.get(parent)
        return isinstance(parent, ast.AnnAssign) and child is parent.annotation

    def _site(self, node: ast.expr, draw: Callable[[Rng], str], weight: float) -> Site:
        start, end = self._span(node)
        return Site(((start, end),), self._source[start:end], draw, weight)

    def _span(self, node: ast.expr | ast.alias) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        """Characters before a position that ``ast`` gives in bytes of UTF-8."""
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end]


def _other_int(value: int, rng: Rng) -> str:
    """Small ones by one more or less, never below 1; powers of two stay such; others scaled."""
    if value < 8:
        options = [value + 1] if value <= 1 else [value - 1, value + 1]
        return str(options[int(rng.integers(len(options)))])
    if value & (value - 1) == 0:
        return str(value * 2 if rng.random() < 0.5 else value // 2)
    scaled = round(value * _factor(rng))
    return str(scaled if scaled != value else value + 1)


def _other_float(value: float, rng: Rng) -> str:
    """Scaled; just below 1, as decay rates are, the distance to 1 is scaled instead."""
    if value == 0.0:
        return f"{10 ** rng.uniform(-4, -1):.2g}"
    new = 1 - (1 - value) * _factor(rng) if 0.9 <= value < 1 else value * _factor(rng)
    digits = 5 if 0.9 <= value < 1 else 3
    return repr(float(f"{new:.{digits}g}"))


def _factor(rng: Rng) -> float:
    return float(np.exp(rng.uniform(-math.log(FACTOR), math.log(FACTOR))))


def _pick(options: tuple[str, ...] | list[str], rng: Rng) -> str:
    return options[int(rng.integers(len(options)))]


def _qualified(node: ast.expr) -> tuple[str, str]:
    """``("nn", "relu")`` for ``jax.nn.relu`` and for ``nn.relu``; empty strings for anything else."""
    if not isinstance(node, ast.Attribute):
        return "", ""
    return _last_name(node.value), node.attr


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
