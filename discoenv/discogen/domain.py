"""Domains in DiscoGen's own folder layout, as :class:`Domain` objects.

Such a domain has no examiner: its ``main.py`` trains and scores in one process and prints its metrics, so its results
are labelled ``self-reported``. Its baselines are the published ones. As DiscoGen publishes no floors, the floor is put
one |baseline| below the baseline (above it for a minimised metric): 1 is the baseline's score, 2 is twice as good.

A domain may come with pretrained models, in ``models/``. Then a dataset here is one of DiscoGen's with a model, called
``<dataset>_<model>`` as its folder in a workspace; tasks are sampled with the model of ``task_config.yaml``.
A dataset with several published metrics is as good as the worst of them, each normalised: :data:`WORST`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

from discoenv.data import downloads
from discoenv.discogen import code
from discoenv.errors import DatasetUnavailable, DomainError, TaskError, UnknownName
from discoenv.machine import interpreters
from discoenv.tasks import registry
from discoenv.tasks.domain import Domain, read_utf8
from discoenv.tasks.specification import (
    Backend,
    Dataset,
    DiscoBench,
    Integrity,
    Metric,
    Module,
    ResourceLimits,
    Scale,
    Specification,
)
from discoenv.tasks.yaml_text import load_untrusted

#: Name of the metric of a dataset that has several: the smallest of their normalised values.
WORST: Final = "worst normalised metric"
#: DiscoGen bounds nothing; an exam of ours always ends.
_BUDGET_S = 24 * 3600.0
_FETCH_TIMEOUT_S = 6 * 3600.0
#: Runs ``download_dataset`` as DiscoGen does, with a ``Path``. Its last line says what went wrong: ``module <name>``,
#: ``network`` or ``code``.
_FETCH = """
import http.client, pathlib, socket, sys, traceback, urllib.error
clients = {"aiohttp", "httpcore", "httpx", "huggingface_hub", "requests", "urllib3"}
failures = (ConnectionError, TimeoutError, socket.gaierror, urllib.error.URLError, http.client.HTTPException)
sys.path.insert(0, sys.argv[1])
try:
    import make_dataset
    make_dataset.download_dataset(pathlib.Path(sys.argv[2]))
except BaseException as error:
    traceback.print_exc()
    kind, link = "code", error
    while link is not None:
        if isinstance(link, ModuleNotFoundError) and link.name:
            kind = "module " + link.name
        elif kind == "code" and (isinstance(link, failures) or type(link).__module__.partition(".")[0] in clients):
            kind = "network"
        link = link.__cause__ or link.__context__
    print(kind)
    sys.exit(1)
"""
#: Packages that fetch data while a program trains, which a sandbox does not let it do.
_FETCHING: Final = frozenset({"huggingface_hub", "ogbench"})
#: Domains, and datasets as ``<domain>/<dataset>``, of the package discogen that train within an hour on two cores of a
#: CPU, although their requirements name CUDA: measured, or extrapolated from a part of the training.
_ON_CPU: Final = frozenset(
    {"BayesianOptimisation", "GreenhouseGasPrediction", "NeuralCellularAutomata/MatrixOperations", "OffPolicyRL"}
)
#: Names of metrics in the published baselines of discogen 1.3.0 that its code prints under another name.
_MISSPELT: Final = {"mmlu_stemp/acc": "mmlu_stem/acc"}
#: A baseline that is published with few digits is known to half of its last one; a span is at least this many of them.
_LEAST_DIGITS: Final = 10


class DiscogenDomain(Domain):
    """A domain's folder in DiscoGen's layout: ``task_config.yaml``, ``utils/``, ``templates/``, ``datasets/``."""

    scale_note: ClassVar[str] = ", of a pack in DiscoGen's format, which has one scale"

    @property
    def name(self) -> str:
        """The folder's name, after that of its pack."""
        return f"{self.pack}/{self.directory.name}" if self.pack else self.directory.name

    def module_source(self, module: str, *, backend: str) -> str:
        """The base implementation of a module; there are no marks in this layout."""
        return self.module_text(module, backend=backend, start="base")

    def module_text(self, module: str, *, backend: str, start: str) -> str:
        """A module's ``base/`` or ``edit/`` file, of the backend or else the default one."""
        kind = "edit" if start == "stub" else "base"
        for folder in dict.fromkeys((backend, "default")):
            path = self.directory / "templates" / folder / kind / f"{module}.py"
            if path.is_file():
                return read_utf8(path)
        raise DomainError(f"{self.directory}/templates/default/{kind}/{module}.py: the file is missing")

    def fixed_texts(self, dataset: str, *, backend: str) -> dict[str, str]:
        """Text of each fixed file by relative path; a fixed folder means all text files in it.

        The files of the dataset's model are among them.
        """
        texts: dict[str, str] = {}
        names = self._read("utils/task_spec.yaml").get("fixed_files", [])
        roots = [(name, [path for path in self._places(name, dataset, backend) if path.exists()]) for name in names]
        model = self.without_model(dataset)[1]
        if model:
            of_model = sorted((self.directory / "models" / model).iterdir())
            roots = [(path.name, [path]) for path in of_model if path.name != "description.md"] + roots
        for name, found in roots:
            if not found:
                raise DomainError(f"{self.directory}/utils/task_spec.yaml: fixed_files: {name} does not exist")
            path = found[0]
            files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
            for file in files:
                try:
                    text = file.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue  # compiled or binary files are no part of a code base
                texts[str(Path(name) / file.relative_to(path))] = text
        return texts

    def _places(self, name: str, dataset: str, backend: str) -> list[Path]:
        return super()._places(name, self.without_model(dataset)[0], backend)

    @cached_property
    def models(self) -> list[str]:
        """Folders of ``models/``, sorted; none if there is no such folder."""
        return sorted(path.parent.name for path in (self.directory / "models").glob("*/model_config.yaml"))

    def without_model(self, dataset: str) -> tuple[str, str]:
        """DiscoGen's dataset and the model; it is empty if the domain has none."""
        for model in self.models:
            if dataset.endswith(f"_{model}"):
                return dataset.removesuffix(f"_{model}"), model
        return dataset, ""

    def metric(self, dataset: str) -> Metric:
        """The metric of ``baseline_scores.yaml`` that has a score for the dataset; :data:`WORST` if several have."""
        metrics = self.metrics(dataset)
        return metrics[0] if len(metrics) == 1 else _worst(metrics)

    def metrics(self, dataset: str) -> list[Metric]:
        """The metrics of ``baseline_scores.yaml`` that have a score for the dataset, with their directions."""
        own = self.without_model(dataset)[0]
        found = [
            _metric(name, scores)
            for name, scores in self._scores.items()
            if any(own in values for values in scores.values() if isinstance(values, dict))
        ]
        if not found:
            raise DomainError(f"{self.directory}/utils/baseline_scores.yaml: no metric has a score for {own}")
        return found

    def with_score(self, metrics: Mapping[str, float], dataset: str, *, backend: str) -> dict[str, float]:
        """The metrics, with :data:`WORST` if the dataset has several and all of them are there."""
        found = dict(metrics)
        for published, printed in _MISSPELT.items():
            if printed in found:
                found.setdefault(published, found[printed])
        bounds = self.published_bounds(dataset, backend=backend)
        if len(bounds) > 1 and all(metric.name in found for metric in bounds):
            found[WORST] = min(
                (found[metric.name] - floor) / (baseline - floor) for metric, (floor, baseline) in bounds.items()
            )
        return found

    def published(self, dataset: str, *, backend: str) -> tuple[float, float]:
        """Floor and published baseline of a dataset, in its metric; 0 and 1 if that is made of several.

        Raises:
            UnknownName: none is published for that backend.
        """
        bounds = list(self.published_bounds(dataset, backend=backend).values())
        return bounds[0] if len(bounds) == 1 else (0.0, 1.0)

    def published_bounds(self, dataset: str, *, backend: str) -> dict[Metric, tuple[float, float]]:
        """Floor and published baseline of each metric that a dataset has.

        The floor is as far from the baseline as that is from 0, and at least ten units of the last digit that
        baselines of the metric are published with: one of 0, or one that was rounded to a digit, says little about
        what is twice as good.
        """
        own = self.without_model(dataset)[0]
        found = {}
        for metric in self.metrics(dataset):
            scores = self._scores[metric.name]
            values = scores.get(backend, {})
            if own not in values:
                known = [name for name, each in scores.items() if isinstance(each, dict) and own in each]
                raise UnknownName("backend", backend, known, f"the published baselines of {self.name}, {own}")
            baseline = float(values[own])
            least = _LEAST_DIGITS * 10.0 ** -max(map(_decimals, values.values()))
            found[metric] = (baseline - metric.sign * max(abs(baseline), least), baseline)
        return found

    def config(self, dataset: str, scale: str) -> dict[str, Any]:
        """Empty: hyper-parameters are files of the code base here."""
        self.require_scale(dataset, scale)
        return {}

    def scales(self, dataset: str) -> list[Scale]:
        """``full`` only."""
        return ["full"]

    @property
    def installer(self) -> str | None:
        """``utils/install.sh``, if the domain has one."""
        path = self.directory / "utils" / "install.sh"
        return read_utf8(path) if path.is_file() else None

    def description(self) -> str:
        """``utils/description.md``."""
        return self._text(self.directory / "utils" / "description.md")

    def dataset_description(self, dataset: str) -> str:
        """``datasets/<id>/description.md``, and that of the dataset's model if it has one."""
        own, model = self.without_model(dataset)
        text = self._text(self.directory / "datasets" / own / "description.md")
        about = self.directory / "models" / model / "description.md"
        return f"{text}\n{self._text(about)}" if model and about.is_file() else text

    def data(self, dataset: str, cache_root: Path | None = None) -> Path | None:
        """The dataset's files, made by its ``make_dataset.download_dataset`` once and kept in the cache.

        None if it has no such function: then it needs no data.
        """
        place = self._data_place(dataset, cache_root)
        if place is not None and not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(dataset, place, cache_root)
        return place

    def fetch(
        self,
        dataset: str,
        cache_root: Path | None = None,
        on_file: Callable[[downloads.File, str], None] = lambda file, source: None,
    ) -> Path:
        """As :meth:`data`; no files are reported."""
        place = self.data(dataset, cache_root)
        if place is None:
            raise DatasetUnavailable(f"{self.name}: {dataset} has no data, so there is nothing to fetch")
        return place

    def to_fetch(self) -> list[str]:
        """Datasets whose ``make_dataset.py`` has a function ``download_dataset``."""
        return [name for name in self.datasets if self._data_place(name) is not None]

    def fetched(self) -> frozenset[str]:
        """Datasets that come over the network and are in the cache."""
        names = [name for name, entry in self.specification.datasets.items() if entry.source == "download"]
        places = {name: self._data_place(name) for name in names}
        return frozenset(name for name, place in places.items() if place is not None and place.is_dir())

    def _data_place(self, dataset: str, cache_root: Path | None = None) -> Path | None:
        """Where the data of a dataset is kept, whether it is there or not; None if it has none."""
        own = self.without_model(dataset)[0]
        maker = self.directory / "datasets" / own / "make_dataset.py"
        text = self._maker(own)
        if not code.defines(text, "download_dataset"):
            return None
        digest = hashlib.sha256(text.encode() + str(maker.resolve()).encode()).hexdigest()[:16]
        return (cache_root or downloads.cache_root()) / self.name / own / digest

    def _maker(self, own: str) -> str:
        """Text of a dataset's ``make_dataset.py``; empty if it has none."""
        path = self.directory / "datasets" / own / "make_dataset.py"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def _fetch(self, dataset: str, place: Path, cache_root: Path | None) -> None:
        """Run ``download_dataset`` in a separate process; ``place`` appears complete or not at all."""
        maker = self.directory / "datasets" / self.without_model(dataset)[0] / "make_dataset.py"
        temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        command = [str(self.python or sys.executable), "-c", _FETCH, str(maker.parent), str(temporary)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, check=False)
            if done.returncode != 0:
                said = done.stdout.rstrip().rpartition("\n")[2]
                raise DatasetUnavailable(
                    f"{self.name}: the data of {dataset} could not be made by {maker}: "
                    f"{self._what_to_do(dataset, said)}. It said:\n{done.stderr.strip()[-1500:]}"
                )
            temporary.chmod(0o755)
            if not place.is_dir():
                temporary.rename(place)
        except subprocess.TimeoutExpired:
            raise DatasetUnavailable(
                f"{self.name}: the data of {dataset} was not made by {maker} within {_FETCH_TIMEOUT_S / 3600:.0f} hours"
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _what_to_do(self, dataset: str, said: str) -> str:
        """The reason that a download reported, in words, and what to do."""
        kind, _, module = said.partition(" ")
        if kind == "module":
            return f"{self.python or sys.executable} has no package {module}. {self.how_to_install}"
        if kind == "network":
            return (
                "the network failed. Where there is one, run\n"
                f"  DISCOENV_PACKS='{registry.spelling(self)}' discoenv data fetch {self.name} {dataset}\nand copy the "
                f"folder {downloads.cache_root() / self.name} to the same place here"
            )
        return "its code failed, which is the pack's"

    def missing_for_training(self, dataset: str) -> list[str]:
        """What ``main.py`` of a dataset imports when it starts, with the base modules, and its interpreter lacks."""
        return [] if self.image else interpreters.missing_modules(self._imports[dataset], self.python)

    def missing_requirements(self) -> list[str]:
        """What any of its datasets imports and its interpreter lacks.

        Requirements that no program imports when it starts are not asked for.
        """
        if self.image:
            return []
        names = sorted({name for dataset in self.datasets for name in self._imports[dataset]})
        return interpreters.missing_modules(names, self.python)

    @property
    def how_to_install(self) -> str:
        """Which file lists what the pack requires, and how it gets an interpreter of its own."""
        listed = self.directory / "utils" / "requirements.txt"
        return (
            f"The pack lists what it requires in {listed}. Install it for {self.python or sys.executable}; or, if it "
            f"cannot be had beside discoenv, in another environment, ENV, and load the pack as "
            f"{self.directory.parent}=ENV/bin/python, or in an image: {self.directory.parent}=docker://IMAGE"
        )

    def needs_network(self, dataset: str) -> str:
        """Why it cannot train offline: the package that fetches while it trains."""
        found = sorted(_FETCHING & set(self._imports[dataset]))
        return f"main.py fetches from the network while it trains ({found[0]})" if found else ""

    @cached_property
    def _imports(self) -> Mapping[str, list[str]]:
        """What a dataset's program imports when it starts, by dataset; equal for those that differ in models alone."""
        modules = {f"{name}.py": self.module_text(name, backend="default", start="base") for name in self.modules}
        found: dict[str, list[str]] = {}
        by_own: dict[str, list[str]] = {}
        for dataset in self.specification.datasets:
            own = self.without_model(dataset)[0]
            if own not in by_own:
                by_own[own] = code.imported_packages(self.fixed_texts(dataset, backend="default") | modules)
            found[dataset] = by_own[own]
        return found

    @cached_property
    def _scores(self) -> dict[str, dict[str, Any]]:
        return self._read("utils/baseline_scores.yaml")

    def _read(self, name: str) -> dict[str, Any]:
        return self._read_path(self.directory / name)

    @staticmethod
    def _read_path(path: Path) -> dict[str, Any]:
        try:
            content = load_untrusted(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DomainError(f"{path}: the file is missing; a DiscoGen domain has it") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DomainError(f"{path}: not valid YAML: {error}") from error
        if not isinstance(content, dict):
            raise DomainError(f"{path}: not a mapping")
        return content

    def _read_specification(self) -> Specification:
        config = self._read("task_config.yaml")
        modules = [key.removeprefix("change_") for key in config if key.startswith("change_")]
        templates = self.directory / "templates"
        others = sorted(path.name for path in templates.iterdir() if path.is_dir() and path.name != "default")
        prompts = self._prompts(self._read("utils/task_information.yaml"), modules)
        scores = self._read("utils/baseline_scores.yaml")
        first = next(iter(scores))
        return Specification(
            name=self.directory.name,
            version=1,
            title=self.directory.name,
            summary=f"{self.directory.name}, a domain in DiscoGen's format.",
            extra="",
            requirements=_requirements(self.directory / "utils" / "requirements.txt"),
            modules={name: Module(prompt=prompts.get(name, "")) for name in modules},
            fixed_files=["main.py"],
            backends={name: self._backend(name, modules) for name in ["default", *others]},
            datasets=self._datasets(config),
            discobench=self._discobench(config),
            contract={},
            metric=_metric(first, scores[first]),
            limits=ResourceLimits(memory_gib=64.0, scratch_gib=16.0, minimum_budget_s=_BUDGET_S),
            integrity=Integrity(
                level="self-reported",
                notes=["The modules run in the process that computes and prints the score, with the test data."],
            ),
        )

    def _backend(self, name: str, modules: list[str]) -> Backend:
        path = f"templates/{name}/task_information.yaml"
        own = self._prompts(self._read(path), modules) if (self.directory / path).is_file() else {}
        return Backend(summary=f"the code base templates/{name}", prompts=own)

    @staticmethod
    def _prompts(content: Mapping[str, Any], modules: list[str]) -> dict[str, str]:
        """What ``task_information.yaml`` says of each module; that of ``networks`` is ``network_prompts`` in places."""
        keys = {key.removesuffix("s").removesuffix("_prompt").removesuffix("s"): key for key in content}
        return {name: str(content[keys[short]]) for name in modules if (short := name.removesuffix("s")) in keys}

    def _datasets(self, config: Mapping[str, Any]) -> dict[str, Dataset]:
        """The datasets, each with each model; those that are not configured are not sampled."""
        cuda = _asks_for_cuda(self.directory / "utils" / "requirements.txt")
        configured = [] if not self.models else _listed(config.get("train_model_id") or self.models[:1])
        found = {}
        for own in _listed(config.get("train_task_id") or []):
            text = self._maker(own)
            downloaded = code.defines(text, "download_dataset") and code.needs_network(text, "download_dataset")
            gpu = cuda and not {self.directory.name, f"{self.directory.name}/{own}"} & _ON_CPU
            for model in [*configured, *(each for each in self.models if each not in configured)] or [""]:
                found[f"{own}_{model}" if model else own] = Dataset(
                    source="download" if downloaded else "offline",
                    gpu=("full",) if gpu else (),
                    sampled=not model or model in configured[:1],
                )
        return found

    def _discobench(self, config: Mapping[str, Any]) -> DiscoBench | None:
        """The pack's DiscoBench files and example of the domain; None unless all of them have the same datasets."""
        package, name = self.directory.parent.parent, self.directory.name
        example = package / "example_configs" / f"{name}.yaml"
        modules = [key.removeprefix("change_") for key in config if key.startswith("change_")]
        paths = [package / "discobench_configs" / f"{name}_{suffix}.yaml" for suffix in (*modules, "all")]
        paths = [path for path in paths if path.is_file()]
        if not paths or not example.is_file():
            return None
        contents = [self._read_path(path) for path in (example, *paths)]
        splits = {
            tuple(
                self.with_models(content.get(f"{side}_task_id"), content.get(f"{side}_model_id"), f"{side}_model_id")
                for side in ("train", "test")
            )
            for content in contents
        }
        if len(splits) != 1:
            return None
        meta_train, meta_test = next(iter(splits))
        chosen = tuple(key.removeprefix("change_") for key, value in contents[0].items() if value is True)
        return DiscoBench(meta_train=meta_train, meta_test=meta_test, example=chosen)

    def with_models(self, datasets: Any, models: Any, key: str) -> tuple[str, ...]:
        """Datasets of a configuration, each with its model as in DiscoGen: one for all, or one for each.

        Args:
            datasets: a name of DiscoGen's, or a list of them.
            models: a model's name, or a list of them; None: the one of ``task_config.yaml``.
            key: names ``models`` in errors.

        Raises:
            TaskError: their numbers differ.
            UnknownName: there is no such model.
        """
        names = _listed(datasets or [])
        if not self.models:
            if models is not None:
                raise TaskError(f"{key}: {self.name} has no models; remove the key")
            return tuple(names)
        if models is None:
            models = self._read("task_config.yaml").get("train_model_id") or self.models[:1]
        chosen = _listed(models)
        for model in chosen:
            if model not in self.models:
                raise UnknownName("model", str(model), self.models, f"{self.name} ({key})")
        if len(chosen) == 1:
            chosen *= len(names)
        if len(chosen) != len(names):
            raise TaskError(f"{key}: {len(chosen)} models for {len(names)} datasets; name one for all, or one for each")
        with_model = [name for name in names if self.without_model(str(name))[1]]  # already one of ours
        return tuple(
            name if name in with_model else f"{name}_{model}" for name, model in zip(names, chosen, strict=True)
        )

    def _check_files(self) -> None:
        for module in self.modules:
            for start in ("base", "stub"):
                self.module_text(module, backend="default", start=start)


def _requirements(path: Path) -> list[str]:
    """Package requirements of a requirements.txt, without options and comments."""
    if not path.is_file():
        return []
    lines = [line.partition("#")[0].strip() for line in read_utf8(path).splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _metric(name: str, scores: Mapping[str, Any]) -> Metric:
    return Metric(name=name, unit="as printed", direction=scores["objective"])


def _worst(metrics: Sequence[Metric]) -> Metric:
    names = " and ".join(f"{metric.name} ({metric.direction})" for metric in metrics)
    return Metric(name=WORST, unit=f"1 where each of {names} is at least as good as its baseline", direction="max")


def _decimals(value: float) -> int:
    """Digits after the point that a published number is given with."""
    text = repr(value)
    return len(text.partition(".")[2]) if "e" not in text else 0


def _asks_for_cuda(path: Path) -> bool:
    """Whether requirements name CUDA: as an extra, or in the address of an index."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return re.search(r"\[cuda|/cu\d+|cuda_releases", text) is not None
