"""Writes the draft of a domain: every file that a domain has, with a mark wherever its author has to go on."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from discoenv import module_code
from discoenv.errors import DomainError
from discoenv.tasks.drafting import roles
from discoenv.tasks.drafting.compose import GAP, Files, compose
from discoenv.tasks.drafting.cut import Part, Reading, read_parts
from discoenv.tasks.drafting.sources import Source, hyperparameters, packages, read_sources

REPORT: Final = "draft.md"
#: Names of packages on the index, where they are not those that they are imported by.
_DISTRIBUTIONS: Final = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}
_EXTRAS: Final = (("rl", {"gymnax", "brax", "craftax"}), ("jax", {"jax", "flax", "optax"}), ("torch", {"torch"}))
#: What sets how long training takes, likely names first.
_LENGTHS: Final = (
    "epochs?",
    "(total_)?timesteps",
    "updates",
    "(max_)?iter(s|ations)?",
    "episodes",
    "steps",
    "n_estimators",
)
_ORDER: Final = ("domain.yaml", "examiner.py", "templates/default/main.py", "templates", "description.md", "datasets")


@dataclass(frozen=True)
class Gap:
    """Something that is missing of a draft.

    Attributes:
        place: file, relative to the domain's folder, and line.
        what: what is to be written there.
    """

    place: str
    what: str


@dataclass(frozen=True)
class Draft:
    """A draft that was written.

    Attributes:
        folder: the new domain's.
        reading: what was found in the script.
        files: what the learner's code is now.
    """

    folder: Path
    reading: Reading
    files: Files

    def cut(self) -> list[tuple[str, str, str]]:
        """Rows of a table: which file, from where, and what."""
        rows = []
        for module, parts in self.files.parts.items():
            rows += [(f"{module}.py", part.source.where(part.node), _described(part)) for part in parts]
        for label, found in (("data", self.reading.data), ("scores", self.reading.measures)):
            rows += [(f"examiner.py ({label})", source.where(node), _shown(node)) for source, node in found]
        rows += [(name, "", "fixed") for name in self.files.fixed]
        return rows


def cut_script(script: Path) -> tuple[Reading, Files]:
    """What is found in a script, or in the folder of one, and its files after the cut. Nothing is written.

    Raises:
        DomainError: it cannot be read, or nothing in it can be made a module.
    """
    try:
        reading = read_parts(read_sources(script))
        files = compose(reading)
    except RecursionError:
        raise DomainError(
            f"{script}: an expression in it is nested too deeply; write it in several statements"
        ) from None
    if not files.modules:
        reasons = "".join(f"\n  {each}" for each in reading.left)
        raise DomainError(
            f"{script}: nothing in it can be made a module; put what is to be discovered (a loss, a network, an "
            f"optimiser, features, …) into functions of the top level{reasons}"
        )
    return reading, files


def write_draft(target: Path, script: Path, *, title: str) -> Draft:
    """Write the draft of a domain.

    Args:
        target: the new folder, whose last part is the domain's name; its parent must exist.
        script: a training script, or the folder of one.
        title: for readers.

    Raises:
        DomainError: the script cannot be read, or nothing in it can be made a module.
    """
    reading, files = cut_script(script)
    texts = {
        "domain.yaml": _declaration(target.name, title, script.name, reading, files),
        "description.md": f"{GAP} what the field is, what the code does and what would be better, for a reader who "
        "has\nnever heard of it.\n",
        "__init__.py": f'"""{title}."""\n',
        "examiner.py": _examiner(target.name, reading),
        "tests/__init__.py": "",
        "tests/test_domain.py": _TESTS.format(gap=GAP),
        **{f"templates/default/{name}.py": text for name, text in files.modules.items()},
        **{f"templates/default/{name}": text for name, text in files.fixed.items()},
    }
    for dataset in _datasets(reading):
        texts[f"datasets/{dataset}/description.md"] = (
            f"{GAP} what {dataset} is: where it is from, how large, how noisy.\n"
        )
        texts[f"datasets/{dataset}/config.yaml"] = _configuration(reading.sources)
    draft = Draft(target, reading, files)
    texts[REPORT] = _report(draft, script)
    for name, text in texts.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return draft


def gaps(folder: Path) -> list[Gap]:
    """What is marked as missing in a domain's folder, in the order in which it is best written."""
    found: list[tuple[int, str, int, str]] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix not in (".py", ".md", ".yaml") or not path.is_file() or "__pycache__" in path.parts:
            continue
        rank = next((number for number, start in enumerate(_ORDER) if name.startswith(start)), len(_ORDER))
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if GAP in line:
                found.append((rank, name, number, line.partition(GAP)[2].strip().removesuffix('"""').strip("'\"# ")))
    if found and (folder / REPORT).is_file():
        found.append((len(_ORDER) + 1, REPORT, 1, "remove this file when the cut is as you want it"))
    return [Gap(f"{name}:{number}", what) for _, name, number, what in sorted(found)]


def _described(part: Part) -> str:
    node = part.node
    if isinstance(node, ast.Assign):
        return f"{part.name}: {_shown(node)}"
    kind = "class" if isinstance(node, ast.ClassDef) else "function"
    passed = f", which gets {', '.join(part.passed)} as well" if part.passed else ""
    return f"{kind} {node.name}{passed}"


def _shown(node: ast.AST) -> str:
    first = ast.unparse(node).strip().splitlines()
    line = next((each for each in first if not each.startswith("@")), "")
    return line if len(line) <= 80 else line[:79] + "…"


def _is_played(reading: Reading) -> bool:
    """Whether an environment is played in it."""
    used = set(packages(reading.sources))
    classes = [node for _, node in reading.data if isinstance(node, ast.ClassDef)]
    methods = {each.name for node in classes for each in node.body if isinstance(each, ast.FunctionDef)}
    return bool(used & {"gymnax", "gymnasium", "gym", "brax", "craftax"}) or {"reset", "step"} <= methods


def _metric(reading: Reading) -> dict[str, Any]:
    if reading.metrics:
        return dict(reading.metrics[0])
    if _is_played(reading):
        return {"name": "return", "unit": "reward per episode", "direction": "max"}
    return {"name": "score", "unit": "points", "direction": "max"}


def _datasets(reading: Reading) -> list[str]:
    """Names of two datasets, the script's first."""
    found = []
    for source, node in reading.data:
        for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)):
            if roles.role_of_call(call, source.meanings) == roles.DATA:
                found.append(roles.dotted(call.func).rpartition(".")[2])
    words = [roles.words(re.sub(r"^(load|fetch|make|read)_", "", name)) for name in found if "split" not in name]
    names = ["".join(part if part.isupper() else part.capitalize() for part in each) for each in words]
    names += [
        str(value) for key, value in hyperparameters(reading.sources).items() if re.search(r"env|dataset|data$", key)
    ]
    plain = [
        name for name in names if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) and name not in ("Make", "Csv")
    ]
    first = plain[0] if plain else "First"
    return [first, "Second" if first != "Second" else "Third"]


def _declaration(name: str, title: str, script: str, reading: Reading, files: Files) -> str:
    used = packages(reading.sources)
    extra = next((extra for extra, known in _EXTRAS if known & set(used)), "sklearn")
    usual = module_code.FAMILIES[extra]
    further = [package for package in used if package not in usual]
    datasets = _datasets(reading)
    played = _is_played(reading)
    question = "act(observation)" if played else "predict(x)"
    modules = {
        module: {
            "prompt": f"{roles.MODULES[parts[0].role]}: {'; '.join(f'`{_signature(part)}`' for part in parts)}. "
            f"{GAP} shapes, dtypes, when it is called, what may change."
        }
        for module, parts in files.parts.items()
    }
    content: list[tuple[str, Any, str]] = [
        ("name", name, ""),
        ("version", 1, ""),
        ("title", title, ""),
        ("summary", f"It began as {script}. {GAP} one sentence about what is learned.", ""),
        ("extra", extra, "the extra of discoenv that installs most of what is required"),
        ("requirements", [_DISTRIBUTIONS.get(each, each) for each in used] or ["numpy"], ""),
        *([("imports", [*usual, *further], "what modules may import")] if further else []),
        ("modules", modules, "four to seven, each with one role; draft.md says where they are from"),
        ("fixed_files", list(files.fixed), "the rest of the learner's code"),
        ("backends", {"default": {"summary": f"{GAP} the framework, and how it trains."}}, ""),
        ("datasets", {each: {"source": "offline"} for each in datasets}, f"{GAP} six and more, of three kinds"),
        ("quick", {"module": next(iter(modules)), "meta_train": datasets[0], "meta_test": datasets[1]}, ""),
        ("contract", {question: f"{GAP} what the examiner asks: shapes, dtypes, how often."}, ""),
        ("metric", _metric(reading), f"{GAP} is this what counts? {_measured(reading)}"),
        ("limits", {"memory_gib": 4.0, "scratch_gib": 0.0625}, "of one exam"),
        ("integrity", {"level": "examined", "notes": [f"{GAP} what this domain cannot exclude."]}, ""),
    ]
    lines = ["# A draft: `discoenv validate` lists its gaps. Each key is described in discoenv/tasks/specification.py."]
    for key, value, comment in content:
        lines += [f"# {comment}"] if comment else []
        lines.append(yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=10_000).rstrip())
    return "\n".join(lines) + "\n"


def _signature(part: Part) -> str:
    if isinstance(part.node, ast.ClassDef):
        return f"class {part.name}"
    if isinstance(part.node, ast.Assign):
        return f"{part.name}({', '.join(part.passed)})"
    given = ast.unparse(part.node.args)
    further = f"*, {', '.join(part.passed)}" if part.passed else ""
    return f"{part.name}({', '.join(filter(None, (given, further)))})"


def _measured(reading: Reading) -> str:
    places = [source.where(node) for source, node in reading.measures[:3]]
    return f"See {', '.join(places)}." if places else "Nothing in the script says so."


def _configuration(sources: Sequence[Source]) -> str:
    found = dict(hyperparameters(sources))
    counts = [key for key, value in found.items() if type(value) is int]
    length = next((key for name in _LENGTHS for key in counts if re.fullmatch(rf"(\w+_)?{name}", key)), None)
    value = int(found[length]) if length is not None else 0
    scales: Mapping[str, Any] = {
        "all": {key: each for key, each in found.items() if key != length},
        "tiny": {length: max(1, value // 10)} if length else {},
        "small": {length: value} if length else {},
        "full": {length: value} if length else {},
    }
    head = f"# {GAP} tiny trains for seconds, small for a minute or two; sizes of the data belong here, too.\n"
    return head + yaml.safe_dump(scales, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)


def _examiner(name: str, reading: Reading) -> str:
    metric = str(_metric(reading)["name"])
    question = "act" if _is_played(reading) else "predict"
    return _EXAMINER.format(
        gap=GAP,
        name=name,
        metric=metric,
        question=question,
        data=_quoted(reading.data),
        measures=_quoted(reading.measures),
    )


def _quoted(places: Sequence[tuple[Source, ast.stmt]]) -> str:
    """What the script does there, as comments."""
    lines = []
    for source, node in places:
        code = source.code(node).rstrip().splitlines()
        lines += [f"#   {source.where(node)}", *(f"#     {line}".rstrip() for line in code)]
    return "\n".join(lines) if lines else "#   (nothing was recognised)"


def _report(draft: Draft, script: Path) -> str:
    rows = [f"| `{file}` | {where} | {what.replace('|', chr(92) + '|')} |" for file, where, what in draft.cut()]
    left = [f"* {each}" for each in draft.reading.left] or ["* nothing"]
    return "\n".join(
        [
            f"# How {script.name} was cut",
            "",
            "Remove this file when the cut is as you want it.",
            "",
            "| file | from | what |",
            "|---|---|---|",
            *rows,
            "",
            "What has a role and stays in the fixed files:",
            "",
            *left,
            "",
        ]
    )


_EXAMINER: Final = '''\
"""Examiner of the domain: has the data, gives the learner its part, asks, and scores.

It runs in a process of its own, beside the learner's sandbox. What it returns from ``training_data`` is all that the
learner gets. Draw everything that is held out with ``self.generator(seed, purpose)``.
"""

from __future__ import annotations

from typing import Any

from discoenv.exams.examiner import Examiner, Learner

# Where the script's data come from:
{data}
#
# Where the script measures:
{measures}


class {name}Examiner(Examiner):
    """``self.dataset`` is the name of a dataset, ``self.config`` its configuration at the exam's scale."""

    def training_data(self, seed: int) -> dict[str, Any]:
        """What the learner may learn from: arrays by name, with shapes and dtypes."""
        # {gap} load or draw the data, and return what may be learned from.
        raise NotImplementedError("examiner.py: training_data is not written")

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """The metrics by the names of domain.yaml: ``{metric}``."""
        # {gap} answers = learner.ask("{question}", ..., returns=Array(...)), and compute {metric} from them.
        raise NotImplementedError("examiner.py: examine is not written")

    def floor(self, seed: int) -> dict[str, float]:
        """What a learner reaches that learns nothing."""
        # {gap} {metric} of a constant or a random answer.
        raise NotImplementedError("examiner.py: floor is not written")
'''
_TESTS: Final = '''\
"""The domain is what every domain must be."""

from __future__ import annotations

from pathlib import Path

from discoenv.testing import check_domain, domain_of

DOMAIN = domain_of(Path(__file__).resolve().parents[1])


# {gap} formulas against plain loops, a learner that knows the answers, the floor, answers that are refused.
def test_the_domain_is_what_every_domain_must_be() -> None:
    check_domain(DOMAIN)
'''
