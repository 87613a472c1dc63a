"""Domains in DiscoGen's own folder layout, as :class:`Domain` objects.

Such a domain has no examiner: its ``main.py`` trains and scores in one process and prints its metrics, so its results
are labelled ``self-reported``. Its baselines are the published ones. As DiscoGen publishes no floors, the floor is put
one |baseline| below the baseline (above it for a minimised metric): 1 is the baseline's score, 2 is twice as good.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from discoenv.data import downloads
from discoenv.errors import DatasetUnavailable, DomainError, UnknownName
from discoenv.tasks.domain import Domain
from discoenv.tasks.specification import (
    Backend,
    Dataset,
    Integrity,
    Metric,
    Module,
    ResourceLimits,
    Scale,
    Specification,
)
from discoenv.tasks.yaml_text import load_untrusted

#: DiscoGen bounds nothing; an exam of ours always ends.
_BUDGET_S = 24 * 3600.0
_FETCH_TIMEOUT_S = 6 * 3600.0
_FETCH = "import sys; sys.path.insert(0, sys.argv[1]); import make_dataset; make_dataset.download_dataset(sys.argv[2])"


class DiscogenDomain(Domain):
    """A domain's folder in DiscoGen's layout: ``task_config.yaml``, ``utils/``, ``templates/``, ``datasets/``."""

    def module_source(self, module: str, *, backend: str) -> str:
        """The base implementation of a module; there are no marks in this layout."""
        return self.module_text(module, backend=backend, start="base")

    def module_text(self, module: str, *, backend: str, start: str) -> str:
        """A module's ``base/`` or ``edit/`` file, of the backend or else the default one."""
        kind = "edit" if start == "stub" else "base"
        for folder in dict.fromkeys((backend, "default")):
            path = self.directory / "templates" / folder / kind / f"{module}.py"
            if path.is_file():
                return path.read_text(encoding="utf-8")
        raise DomainError(f"{self.directory}/templates/default/{kind}/{module}.py: the file is missing")

    def fixed_texts(self, dataset: str, *, backend: str) -> dict[str, str]:
        """Text of each fixed file by relative path; a fixed folder means all text files in it."""
        texts: dict[str, str] = {}
        for name in self._read("utils/task_spec.yaml").get("fixed_files", []):
            path = next((path for path in self._places(name, dataset, backend) if path.exists()), None)
            if path is None:
                raise DomainError(f"{self.directory}/utils/task_spec.yaml: fixed_files: {name} does not exist")
            files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
            for file in files:
                try:
                    text = file.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    continue  # compiled or binary files are no part of a code base
                texts[str(Path(name) / file.relative_to(path))] = text
        return texts

    def metric(self, dataset: str) -> Metric:
        """The first metric of ``baseline_scores.yaml`` that has a score for the dataset."""
        for name, scores in self._scores.items():
            if any(dataset in values for values in scores.values() if isinstance(values, dict)):
                return Metric(name=name, unit="as printed", direction=scores["objective"])
        raise DomainError(f"{self.directory}/utils/baseline_scores.yaml: no metric has a score for {dataset}")

    def published(self, dataset: str, *, backend: str) -> float:
        """The published baseline of a dataset, in its metric.

        Raises:
            UnknownName: none is published for that backend.
        """
        scores = self._scores[self.metric(dataset).name]
        if dataset not in scores.get(backend, {}):
            known = [name for name, values in scores.items() if isinstance(values, dict) and dataset in values]
            raise UnknownName("backend", backend, known, f"the published baselines of {self.name}, {dataset}")
        return float(scores[backend][dataset])

    def config(self, dataset: str, scale: str) -> dict[str, Any]:
        """Empty: hyper-parameters are files of the code base here."""
        if scale != "full":
            raise UnknownName("scale", scale, ["full"], f"{self.name}, a pack in DiscoGen's format")
        return {}

    def scales(self, dataset: str) -> list[Scale]:
        """``full`` only."""
        return ["full"]

    @property
    def installer(self) -> str | None:
        """``utils/install.sh``, if the domain has one."""
        path = self.directory / "utils" / "install.sh"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def description(self) -> str:
        """``utils/description.md``."""
        return self._text(self.directory / "utils" / "description.md")

    def data(self, dataset: str, cache_root: Path | None = None) -> Path | None:
        """The dataset's files, made by its ``make_dataset.download_dataset`` once and kept in the cache."""
        maker = self.directory / "datasets" / dataset / "make_dataset.py"
        if not maker.is_file():
            return None
        digest = hashlib.sha256(maker.read_bytes() + str(maker.resolve()).encode()).hexdigest()[:16]
        place = (cache_root or downloads.cache_root()) / self.name / dataset / digest
        if not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(maker, place)
        return place

    def _fetch(self, maker: Path, place: Path) -> None:
        """Run ``download_dataset`` in a separate process; ``place`` appears complete or not at all."""
        temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        command = [sys.executable, "-c", _FETCH, str(maker.parent), str(temporary)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, check=False)
            if done.returncode != 0:
                dataset = maker.parent.relative_to(self.directory / "datasets")
                raise DatasetUnavailable(
                    f"{self.name}: the data of {dataset} could not be made by {maker}; run\n  {' '.join(command[:2])} "
                    f"'…download_dataset…'\nwhere there is network. It said:\n{done.stderr.strip()[-1500:]}"
                )
            temporary.chmod(0o755)
            if not place.is_dir():
                temporary.rename(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @cached_property
    def _scores(self) -> dict[str, dict[str, Any]]:
        return self._read("utils/baseline_scores.yaml")

    def _read(self, name: str) -> dict[str, Any]:
        path = self.directory / name
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
        prompts = self._read("utils/task_information.yaml")
        modules = [key.removeprefix("change_") for key in config if key.startswith("change_")]
        datasets = list(config.get("train_task_id") or [])
        templates = self.directory / "templates"
        backends = sorted(path.name for path in templates.iterdir() if path.is_dir() and path.name != "default")
        scores = self._read("utils/baseline_scores.yaml")
        first = next(iter(scores))
        return Specification(
            name=self.directory.name,
            version=1,
            title=self.directory.name,
            summary=f"{self.directory.name}, a domain in DiscoGen's format.",
            extra="",
            requirements=_requirements(self.directory / "utils" / "requirements.txt"),
            modules={name: Module(prompt=str(prompts.get(f"{name}_prompt", ""))) for name in modules},
            fixed_files=["main.py"],
            backends={name: Backend(summary=f"the code base templates/{name}") for name in ["default", *backends]},
            datasets={name: Dataset(source="offline") for name in datasets},
            contract={},
            metric=Metric(name=first, unit="as printed", direction=scores[first]["objective"]),
            limits=ResourceLimits(memory_gib=64.0, scratch_gib=16.0, minimum_budget_s=_BUDGET_S),
            integrity=Integrity(
                level="self-reported",
                notes=["The modules run in the process that computes and prints the score, with the test data."],
            ),
        )

    def _check_files(self) -> None:
        for module in self.modules:
            for start in ("base", "stub"):
                self.module_text(module, backend="default", start=start)


def _requirements(path: Path) -> list[str]:
    """Package requirements of a requirements.txt, without options and comments."""
    if not path.is_file():
        return []
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("-")]
