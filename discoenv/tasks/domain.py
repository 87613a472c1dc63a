"""What a domain is: reads ``domain.yaml``, finds its templates, datasets, configurations and baselines.

Nothing here runs a domain's code. Every error names the file and the key that is wrong.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import ValidationError

from discoenv import module_code
from discoenv.data import downloads
from discoenv.errors import DatasetUnavailable, DomainError, UnknownName
from discoenv.machine import interpreters, packages
from discoenv.tasks import kits, stubs, yaml_text
from discoenv.tasks.specification import SCALES, Metric, Scale, Specification

#: A picture that a description shows, by a path below its folder.
_PICTURE = re.compile(r"!\[[^\]]*\]\(([\w-]+(?:/[\w-]+)*\.(?:png|jpe?g|gif|webp))\)")


class Domain:
    """A domain's folder.

    Args:
        directory: the folder that holds ``domain.yaml``.
        pack: name of the pack that it belongs to; the domain is then called ``<pack>/<folder>``.
        python: the interpreter that its learners run with; None: the one that runs here (or an image's).
        image: the image of a container engine in which they run; empty: none of its own.

    Attributes:
        scale_note: what a message adds if a scale is asked for that the domain lacks.

    Raises:
        DomainError: ``domain.yaml`` is missing or wrong, or a file that it names does not exist.
    """

    scale_note: ClassVar[str] = ""

    def __init__(self, directory: Path, pack: str = "", python: Path | None = None, image: str = "") -> None:
        self.directory = directory
        self.pack = pack
        self.python = python
        self.image = image
        self.specification = self._read_specification()
        self._check_files()

    def _read_specification(self) -> Specification:
        directory = self.directory
        path = directory / "domain.yaml"
        try:
            content = yaml_text.load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DomainError(
                f"{path}: the file is missing; a domain starts with it (see docs/adding_a_domain.md)"
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DomainError(f"{path}: not valid YAML: {error}") from error
        try:
            return Specification.model_validate(content)
        except ValidationError as error:
            lines = [
                f"{path}: {'.'.join(str(part) for part in fault['loc']) or 'top level'}: {fault['msg']}"
                for fault in error.errors()
            ]
            raise DomainError("\n".join(lines)) from error

    def __repr__(self) -> str:
        return f"Domain({self.name!r}, version={self.version})"

    @property
    def name(self) -> str:
        """The domain's name: its folder's, after that of its pack if it has one."""
        return f"{self.pack}/{self.specification.name}" if self.pack else self.specification.name

    @property
    def version(self) -> int:
        """Raised whenever tasks, data, metrics or baselines of the domain change."""
        return self.specification.version

    @property
    def modules(self) -> list[str]:
        """Names of the editable modules, in the order of ``domain.yaml``."""
        return list(self.specification.modules)

    @property
    def datasets(self) -> list[str]:
        """Ids of the datasets, in the order of ``domain.yaml``."""
        return list(self.specification.datasets)

    @functools.cached_property
    def aliases(self) -> dict[str, str]:
        """Ids of datasets by their further names."""
        entries = self.specification.datasets.items()
        return {alias: name for name, dataset in entries for alias in dataset.aliases}

    def canonical(self, dataset: str) -> str:
        """The id of a dataset that may be given by an alias; any other name as it is."""
        return dataset if dataset in self.specification.datasets else self.aliases.get(dataset, dataset)

    @property
    def models(self) -> list[str]:
        """Pretrained models that its datasets are combined with (see :mod:`discoenv.discogen.domain`); usually none."""
        return []

    def with_models(self, datasets: Any, models: Any, key: str) -> tuple[str, ...]:
        """Datasets as here, of those of a configuration in DiscoGen's form and the models that it names by ``key``."""
        return tuple(datasets)

    def without_model(self, dataset: str) -> tuple[str, str]:
        """A dataset's name in DiscoGen's form, and its model; empty if it has none."""
        return dataset, ""

    @functools.cached_property
    def default_scale(self) -> Scale:
        """``small``; for a domain that lacks it (a pack's in DiscoGen's format) another one that all datasets have."""
        scales: tuple[Scale, ...] = ("small", "full", "tiny")
        common = [scale for scale in scales if all(scale in self.scales(dataset) for dataset in self.datasets)]
        return common[0] if common else "small"

    @property
    def backends(self) -> list[str]:
        """Names of the backends; ``default`` is one."""
        return list(self.specification.backends)

    @property
    def self_reported(self) -> bool:
        """Whether an exam takes the metrics that ``main.py`` prints, because there is no examiner."""
        return self.specification.integrity.level == "self-reported"

    def file(self, name: str, *, dataset: str, backend: str) -> Path:
        """The template of a file: the dataset's own, or that of the backend or the first of those that it inherits.

        Raises:
            DomainError: none of them exists.
        """
        places = self._places(name, dataset, backend)
        for path in places:
            if path.is_file():
                return path
        raise DomainError(f"{self.directory}: {name} is in none of {', '.join(str(p.parent) for p in places)}")

    def module_source(self, module: str, *, backend: str) -> str:
        """The marked base implementation of a module (see :mod:`discoenv.tasks.stubs`): a template, or a kit's file."""
        for folder in self._lineage(backend):
            path = self.directory / "templates" / folder / f"{module}.py"
            if path.is_file():
                return read_utf8(path)
        entry = self.specification.modules.get(module)
        if entry is not None and entry.base is not None:
            return kits.base_source(entry.base)
        raise DomainError(f"{self.directory}/templates/default/{module}.py: the file is missing")

    def module_text(self, module: str, *, backend: str, start: str) -> str:
        """A module as the agent or the learner gets it: its ``base`` or its ``stub``."""
        source, name = self.module_source(module, backend=backend), f"{module}.py"
        if start != "stub":
            return stubs.base(source, name)
        files = (file.removesuffix(".py") for file in self.specification.fixed_files)
        return stubs.stub(source, name, local={"exam", *self.specification.kits, *self.modules, *files})

    def fixed_texts(self, dataset: str, *, backend: str) -> dict[str, str]:
        """Text of each fixed file of a dataset's folder, by relative path."""
        return {
            name: read_utf8(self.file(name, dataset=dataset, backend=backend))
            for name in self.specification.fixed_files
        }

    def kit_texts(self, editable: Collection[str] = ()) -> dict[str, str]:
        """Text of each file of the domain's kits, by its path in a dataset's folder.

        A file with marks is there, without them, only if it is the base of modules none of which is editable.

        Args:
            editable: names of the modules that the agent is to write.
        """
        modules = self.specification.modules
        bases, solutions = (
            {entry.base for name, entry in modules.items() if (name in editable) == hidden} for hidden in (False, True)
        )
        texts: dict[str, str] = {}
        for kit in (*([] if self.self_reported else ["exam"]), *self.specification.kits):
            for path, text in kits.kit_files(kit).items():
                if not stubs.is_marked(text):
                    texts[path] = text
                elif path in bases - solutions:
                    texts[path] = stubs.base(text, path)
        return texts

    def own_code_answers(self, editable: Collection[str]) -> bool:
        """Whether the domain's own code answers for what a training hands over, if these modules are the agent's.

        It does where a state is handed over and none of the modules that use it is among them.
        """
        exam = self.specification.exam
        return exam.hands_over and not set(exam.answers_with) & set(editable)

    @property
    def importable_packages(self) -> tuple[str, ...] | None:
        """Packages that modules may import, beside files of the workspace and the standard library; None: anything."""
        if self.self_reported:
            return None
        imports = self.specification.imports
        return module_code.FAMILIES.get(self.specification.extra) if imports is None else imports

    @property
    def importable(self) -> frozenset[str] | None:
        """What modules may import beside what computes in the standard library; None: anything."""
        specification, packages = self.specification, self.importable_packages
        if packages is None:
            return None
        files = (name.removesuffix(".py") for name in specification.fixed_files if name.endswith(".py"))
        return frozenset({*packages, *specification.modules, *specification.kits, *files}) - {"main", "answer", "exam"}

    @property
    def installer(self) -> str | None:
        """The text of the domain's own ``install.sh``; None: its requirements are all that is to be installed."""
        return None

    def metric(self, dataset: str) -> Metric:
        """The metric that a dataset is scored by."""
        return self.specification.metric

    def metrics(self, dataset: str) -> list[Metric]:
        """The metrics of a dataset that have a threshold each; :meth:`metric` is made of them."""
        return [self.metric(dataset)]

    def with_score(self, metrics: Mapping[str, float], dataset: str, *, backend: str) -> dict[str, float]:
        """What ``main.py`` of a self-reported domain printed, with :meth:`metric` where that is computed from it."""
        return dict(metrics)

    def data(self, dataset: str, cache_root: Path | None = None) -> Path | None:
        """A folder that the learner finds as ``data`` in the dataset's folder; None for native domains.

        Args:
            dataset: its id.
            cache_root: where fetched data is kept; None: the user's cache.

        Raises:
            DatasetUnavailable: it would have to be fetched, and cannot be; or a package that it requires is missing.
        """
        self.require_packages(dataset)
        return None

    def require_packages(self, dataset: str) -> None:
        """Raise :class:`DatasetUnavailable` unless the packages that a dataset requires are installed."""
        missing = [] if self.image else self.missing_for_training(dataset)  # an image is the pack's own affair
        if missing:
            where = f"by {self.python}" if self.python else "here"
            raise DatasetUnavailable(
                f"{self.name}: {dataset} needs {' and '.join(missing)}, which cannot be imported {where}: "
                f"{self.how_to_install}"
            )

    def missing_requirements(self) -> list[str]:
        """Packages that the domain requires and that its learners do not find; see :attr:`how_to_install`."""
        if self.python is None and not self.image:
            return packages.missing(self.specification.requirements)
        return []  # the environment, or the image, is the pack's own affair

    @property
    def how_to_install(self) -> str:
        """The command that installs what the domain requires, or what to do instead."""
        if not self.specification.extra or self.python:
            return f"install {', '.join(self.specification.requirements)} for {self.python or 'this Python'}"
        return f"pip install 'discoenv[{self.specification.extra}]'"

    def needs_network(self, dataset: str) -> str:
        """Why ``main.py`` of a dataset cannot train without a network; empty: it can."""
        return ""

    def to_fetch(self) -> list[str]:
        """Datasets whose data comes over the network, see :meth:`fetch`."""
        return [name for name in self.datasets if self.specification.datasets[name].to_fetch]

    def fetched(self) -> frozenset[str]:
        """Datasets that may be sampled without a download although their ``source`` is one: their data is here."""
        return frozenset()

    def held_data(self, dataset: str, cache_root: Path | None = None) -> Path | None:
        """The folder of a dataset's downloaded files, for its examiner and not for learners; None if it has none.

        Raises:
            DatasetUnavailable: they have not been fetched; nothing is fetched here.
        """
        files = self.specification.datasets[dataset].to_fetch
        return downloads.folder(self.name, dataset, files, cache_root) if files else None

    def fetch(
        self,
        dataset: str,
        cache_root: Path | None = None,
        on_file: Callable[[downloads.File, str], None] = lambda file, source: None,
    ) -> Path:
        """Fetch a dataset's files, unless they are there, and return their folder; see :func:`downloads.fetch`."""
        files = self.specification.datasets[dataset].to_fetch
        return downloads.fetch(self.name, dataset, files, cache_root, on_file)

    def missing_packages(self, dataset: str) -> list[str]:
        """What a dataset requires beyond the rest of its domain and is not installed here."""
        return interpreters.missing_modules(self.specification.datasets[dataset].packages, self.python)

    def missing_for_training(self, dataset: str) -> list[str]:
        """What a dataset's learners are known to import and do not find, by the names that it is imported by."""
        return self.missing_packages(dataset)

    def prompt(self, module: str, *, backend: str) -> str:
        """What the agent reads about a module."""
        for name in self._lineage(backend):
            entry = self.specification.backends.get(name)
            if entry is not None and module in entry.prompts:
                return entry.prompts[module]
        return self.specification.modules[module].prompt

    def candidates(self) -> dict[str, dict[str, str]]:
        """Hand-written modules that an agent without a language model may try.

        Returns:
            Text of each module by file name, by the name of the candidate's folder, ``candidates/<name>/``, in order.
        """
        return read_candidates(self.directory / "candidates")

    def description(self) -> str:
        """``description.md``: what the field is, for the agent."""
        return self._text(self.directory / "description.md")

    def dataset_description(self, dataset: str) -> str:
        """``datasets/<id>/description.md``."""
        return self._text(self.directory / "datasets" / dataset / "description.md")

    def pictures(self, dataset: str) -> dict[str, Path]:
        """The pictures that a dataset's description shows (``![…](samples.png)``), by their names there.

        They are for agents; workspaces, which learners can read, hold none of them.
        """
        folder = self.directory / "datasets" / dataset
        names = dict.fromkeys(_PICTURE.findall(self.dataset_description(dataset)))
        return {name: folder / name for name in names if (folder / name).is_file()}

    def config(self, dataset: str, scale: str) -> dict[str, Any]:
        """A dataset's configuration: the keys under ``all`` of its ``config.yaml``, updated by those under ``scale``.

        Raises:
            DomainError: the file is not of that form.
            UnknownName: there is no such scale.
        """
        path = self.directory / "datasets" / dataset / "config.yaml"
        content = _load_config(path)
        if scale not in content or scale == "all":
            raise UnknownName("scale", scale, [key for key in content if key != "all"], str(path))
        return copy.deepcopy({**content.get("all", {}), **content[scale]})

    def scales(self, dataset: str) -> list[Scale]:
        """Scales that a dataset has, smallest first."""
        content = _load_config(self.directory / "datasets" / dataset / "config.yaml")
        return [scale for scale in SCALES if scale in content]

    def needs_gpu(self, dataset: str, scale: str) -> bool:
        """Whether a dataset at this scale is too much for a CPU."""
        return scale in self.specification.datasets[dataset].gpu

    def wants_gpu(self, dataset: str, scale: str) -> bool:
        """Whether exams of a dataset go to a GPU if there is one: at the scale ``full``, or where it needs one."""
        return scale == "full" or self.needs_gpu(dataset, scale)

    def published(self, dataset: str, *, backend: str) -> tuple[float, float] | None:
        """Floor and baseline that were published with a domain that cannot be calibrated here, in its metric.

        None: there are none.

        Raises:
            UnknownName: the domain publishes baselines, but none of this dataset for that backend.
        """
        return None

    def published_bounds(self, dataset: str, *, backend: str) -> dict[Metric, tuple[float, float]]:
        """The same of each of :meth:`metrics`; empty if none were published."""
        return {}

    def require_scale(self, dataset: str, scale: str, where: str = "") -> None:
        """Raise :class:`UnknownName` unless a dataset has a scale; ``where`` is said in place of the domain's name."""
        known = self.scales(dataset)
        if scale not in known:
            raise UnknownName("scale", scale, known, f"{where or self.name}, dataset {dataset}{self.scale_note}")

    def require(self, *, dataset: str | None = None, module: str | None = None, backend: str | None = None) -> None:
        """Raise :class:`UnknownName` unless the names given exist."""
        for kind, name, known in (
            ("dataset", dataset, self.datasets),
            ("module", module, self.modules),
            ("backend", backend, self.backends),
        ):
            if name is not None and name not in known:
                raise UnknownName(kind, name, known, self.name)

    def _places(self, name: str, dataset: str, backend: str) -> list[Path]:
        templates = self.directory / "templates"
        folders = [self.directory / "datasets" / dataset, *(templates / each for each in self._lineage(backend))]
        return [folder / name for folder in folders]

    def _lineage(self, backend: str) -> list[str]:
        """The backend, the one that it inherits, and the default one."""
        entry = self.specification.backends.get(backend)
        return list(dict.fromkeys([backend, *([entry.inherits] if entry else []), "default"]))

    def _check_files(self) -> None:
        if self.directory.name != self.specification.name:
            raise DomainError(
                f"{self.directory}/domain.yaml: name: {self.specification.name!r} is not the folder's name"
            )
        self._check_kits()
        for module in self.modules:
            self.module_source(module, backend="default")
        for name in ("description.md", "examiner.py"):
            if not (self.directory / name).is_file():
                raise DomainError(f"{self.directory / name}: the file is missing")
        for dataset in self.datasets:
            for name in ("description.md", "config.yaml"):
                path = self.directory / "datasets" / dataset / name
                if not path.is_file():
                    raise DomainError(f"{path}: the file is missing (domain.yaml: datasets.{dataset})")
            for backend in self.backends:
                for name in self.specification.fixed_files:
                    self.file(name, dataset=dataset, backend=backend)

    def _check_kits(self) -> None:
        try:
            for kit in self.specification.kits:
                kits.kit_files(kit)
            for name, module in self.specification.modules.items():
                if module.base is not None:
                    kits.base_source(module.base)
                    template = self.directory / "templates" / "default" / f"{name}.py"
                    if template.is_file():
                        raise DomainError(f"{template}: the module's base is {module.base}; remove one of the two")
        except UnknownName as error:
            raise DomainError(f"{self.directory}/domain.yaml: kits: {error}") from error

    @staticmethod
    def _text(path: Path) -> str:
        return read_utf8(path).strip() + "\n"


def read_utf8(path: Path) -> str:
    """The text of a domain's file.

    Raises:
        DomainError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DomainError(f"{path}: cannot be read as text: {error}") from error


def read_candidates(folder: Path) -> dict[str, dict[str, str]]:
    """The candidates in a folder, as :meth:`Domain.candidates` gives them; none if the folder does not exist."""
    return {
        each.name: {path.name: read_utf8(path) for path in sorted(each.glob("*.py"))}
        for each in sorted(folder.glob("*"))
        if each.is_dir() and not each.name.startswith(("_", "."))
    }


@functools.cache
def _load_config(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = yaml_text.load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DomainError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict) or not set(content) <= {"all", *SCALES} or not set(content) & set(SCALES):
        raise DomainError(f"{path}: the keys must be 'all' (optional) and scales ({', '.join(SCALES)})")
    for key, value in content.items():
        if not isinstance(value, dict):
            raise DomainError(f"{path}: {key}: must be a mapping")
    return content
