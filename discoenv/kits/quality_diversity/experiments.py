"""The published experiments by name, at their sizes, at one for two cores of a CPU, and at one for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Literal

from .mazes import Mazes, mazes, small_mazes
from .platformer_problem import Platformers, platformers, small_platformers
from .search import Settings
from .surrogate import SurrogateSettings

Size = Literal["full", "small", "test"]
AnyProblem = Mazes | Platformers
_PROBLEMS: Final[dict[str, type[AnyProblem]]] = {"maze": Mazes, "platformer": Platformers}


@dataclass(frozen=True)
class Experiment:
    """What is searched, and how.

    Attributes:
        name: ``maze/dsage`` for example; the published configuration has the same name, with ``mario`` for
            ``platformer``.
        title: as in the published tables.
        problem: levels and simulator.
        settings: of the search.
    """

    name: str
    title: str
    problem: AnyProblem
    settings: Settings


def as_dict(experiment: Experiment) -> dict[str, Any]:
    """Plain values from which :func:`from_dict` makes the same experiment."""
    kind = next(kind for kind, cls in _PROBLEMS.items() if isinstance(experiment.problem, cls))
    content = asdict(experiment)
    content["problem"] = {"kind": kind, **content["problem"]}
    return content


def from_dict(content: Mapping[str, Any]) -> Experiment:
    """The experiment whose :func:`as_dict` this is, also after a round trip through JSON.

    Raises:
        ValueError: names are unknown.
    """
    problem, settings = dict(content["problem"]), dict(content["settings"])
    try:
        cls = _PROBLEMS[problem.pop("kind")]
        model = SurrogateSettings(**_tuples(settings.pop("model")))
        return Experiment(
            str(content["name"]),
            str(content["title"]),
            cls(**_tuples(problem)),
            Settings(**_tuples(settings), model=model),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the settings of an experiment: {error}") from error


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of JSON as tuples, at any depth."""

    def frozen(x: Any) -> Any:
        return tuple(map(frozen, x)) if isinstance(x, list | tuple) else x

    return {name: frozen(value) for name, value in values.items()}


#: Settings that differ between variants: title in mazes and in platformers, mode, selection, ancillary data, longer.
_VARIANTS: Final[dict[str, tuple[str, dict[str, Any], bool, bool]]] = {
    "dsage": ("DSAGE", {}, True, False),
    "dsage_only_anc": ("DSAGE-Only Anc", {"selection": "all"}, True, False),
    "dsage_only_down": ("DSAGE-Only Down", {}, False, False),
    "dsage_basic": ("DSAGE Basic", {"selection": "all"}, False, False),
    "me": ("MAP-Elites", {"mode": "direct"}, False, False),
    "cma_me": ("CMA-ME", {"mode": "direct"}, False, False),
    "dr": ("DR", {"mode": "random"}, False, False),
    "dsage_rsample": ("DSAGE, random sampling", {"selection": "random"}, True, False),
    "dsage_basic_long": ("DSAGE Basic, long", {"selection": "all"}, False, True),
    "dsage_only_anc_long": ("DSAGE-Only Anc, long", {"selection": "all"}, True, True),
}
#: The rows of the published tables, in their order.
TABLE: Final = {
    "maze": ("dsage", "dsage_only_anc", "dsage_only_down", "dsage_basic", "me", "dr"),
    "platformer": ("dsage", "dsage_only_anc", "dsage_only_down", "dsage_basic", "cma_me", "dr"),
}
_EXTRA: Final = ("dsage_rsample", "dsage_basic_long", "dsage_only_anc_long")
_NEW_MEASURES: Final[dict[str, dict[str, tuple[Any, Any]]]] = {
    "maze": {
        "dsage_rep_explore": ("repeated", "explored"),
        "dsage_block_explore": ("walls", "explored"),
        "dsage_block_rep": ("walls", "repeated"),
    },
    "platformer": {"dsage_sky_enemies": ("sky", "kills"), "dsage_jumps_enemies": ("jumps", "kills")},
}
#: Epochs of the long variants: as many as the variant that is compared with has in all.
_LONG: Final = {
    ("maze", "dsage_basic_long"): 6400,
    ("maze", "dsage_only_anc_long"): 5300,
    ("platformer", "dsage_basic_long"): 1350,
    ("platformer", "dsage_only_anc_long"): 1350,
}
_FULL: Final = {
    "maze": Settings(),
    "platformer": Settings(evaluations=10_000, selected=250, model=SurrogateSettings(recent=None)),
}
_SMALL_MODEL: Final = SurrogateSettings(width=16, blocks=1, epochs=20)
_SMALL: Final = {
    "maze": Settings(
        evaluations=2000,
        inner_iterations=200,
        selected=100,
        random_batch=60,
        model=replace(_SMALL_MODEL, measure_units=(8.0, 25.0)),
    ),
    "platformer": Settings(
        evaluations=1000,
        inner_iterations=200,
        selected=60,
        random_batch=30,
        model=replace(_SMALL_MODEL, measure_units=(8.0, 1.0), recent=None),
    ),
}
#: Epochs of the long variants are this many times those of the others, at the small size.
_SMALL_LONG: Final = 4


def names() -> list[str]:
    """All experiments."""
    rows = {domain: [*TABLE[domain], *_EXTRA] for domain in TABLE}
    plain = [f"{domain}/{variant}" for domain, variants in rows.items() for variant in variants]
    return plain + [f"{domain}/new_measures/{name}" for domain, pairs in _NEW_MEASURES.items() for name in pairs]


def experiment(name: str, size: Size = "full") -> Experiment:
    """A published experiment.

    Args:
        name: one of :func:`names`.
        size: ``full``: the published numbers; ``small``: for two cores of a CPU; ``test``: ``small`` with 10
            evaluations, 5 of them random, 2 inner iterations, and batches of 2.

    Raises:
        ValueError: there is no such experiment.
    """
    if name not in names():
        raise ValueError(f"there is no experiment {name!r}; known are {', '.join(names())}")
    domain, *_, variant = name.split("/")
    measures = _NEW_MEASURES[domain].get(variant, ())
    title, changes, ancillary, is_long = _VARIANTS["dsage" if measures else variant]
    if measures:
        title = f"{title}, {' and '.join(measures)}"
    small = size != "full"
    problem: AnyProblem
    if domain == "maze":
        problem = (small_mazes if small else mazes)(*measures)
    else:
        problem = (small_platformers if small else platformers)(*measures)
    settings = (_SMALL if small else _FULL)[domain]
    epochs = settings.model.epochs
    if is_long:
        epochs = epochs * _SMALL_LONG if small else _LONG[domain, variant]
    settings = replace(settings, model=replace(settings.model, ancillary=ancillary, epochs=epochs), **changes)
    if size == "test":
        problem = replace(problem, batch_size=2)
        settings = replace(settings, evaluations=10, initial=5, inner_iterations=2, random_batch=2, selected=2)
    return Experiment(name, title, problem, settings)


def changed(before: Experiment, **changes: Any) -> Experiment:
    """The experiment with other settings; ``epochs`` and other numbers of the model are given in the same way.

    Raises:
        ValueError: there is no such setting.
    """
    of_model = {each.name for each in fields(SurrogateSettings)}
    of_search = {each.name for each in fields(Settings)} - {"model"}
    if unknown := set(changes) - of_model - of_search:
        raise ValueError(f"unknown settings {', '.join(sorted(unknown))}; known are {sorted(of_search | of_model)}")
    model = replace(before.settings.model, **{k: v for k, v in changes.items() if k in of_model})
    rest = {k: v for k, v in changes.items() if k in of_search}
    return replace(before, settings=replace(before.settings, **rest, model=model))
