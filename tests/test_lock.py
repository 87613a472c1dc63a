"""``constraints.txt`` pins all that ``make`` installs, once for every Python, and nothing of one machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from discoenv.adapters.frameworks import FRAMEWORKS

ROOT = Path(__file__).resolve().parents[1]
LINES = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]
CHOICES = (ROOT / "constraints.in").read_text(encoding="utf-8").splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
#: What decides scores: one version for all Pythons and platforms.
NUMERICAL = (
    "numpy",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "gymnax",
    "brax",
    "torch",
)


#: Extras that some others exclude, or that bring much that nothing else needs; what they install is not pinned.
APART = {framework.extra for framework in FRAMEWORKS.values()} - {"agents"} | {"kinetix", "libribrain"}


def wanted() -> list[str]:
    """What pyproject.toml and constraints.in ask for."""
    optional = PROJECT["project"]["optional-dependencies"]
    extras = [each for extra in optional.keys() - APART for each in optional[extra]]
    chosen = [line.partition("#")[0].strip() for line in CHOICES]
    return [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"], *extras, *filter(None, chosen)]


def test_every_line_pins_a_published_version() -> None:
    for line in LINES:
        assert re.fullmatch(r"[a-z0-9-]+==[a-z0-9.]+( ; .+)?", line), line  # no host, path, hash or local build (+cpu)
        Requirement(line)


def test_the_tests_that_the_newest_versions_must_pass_exist() -> None:
    chosen = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nNEWEST_TESTS ?=")[2].partition("\n#")[0]
    tests = re.findall(r"\S+\.py\S*", chosen)
    assert tests
    for test in tests:
        path, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), f"Makefile, NEWEST_TESTS: {test}"


@pytest.mark.parametrize("text", sorted(set(wanted())))
def test_what_is_asked_for_is_pinned_within_its_range(text: str) -> None:
    requirement = Requirement(text)
    name = canonicalize_name(requirement.name)
    if name == "discoenv":
        assert requirement.extras <= PROJECT["project"]["optional-dependencies"].keys()
        return
    (pin,) = [line for line in LINES if canonicalize_name(Requirement(line).name) == name]
    assert requirement.specifier.contains(pin.partition(";")[0].partition("==")[2].strip())


@pytest.mark.parametrize("name", NUMERICAL)
def test_packages_that_decide_scores_have_one_version_everywhere(name: str) -> None:
    assert [line for line in LINES if Requirement(line).name == name and ";" not in line]


def test_the_extra_all_is_all_of_users_and_dev_is_on_top_of_it() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert Requirement(everything).extras == extras.keys() - {"all", "dev", "docs"} - APART
    assert extras.keys() > APART
    assert "discoenv[all,docs]" in extras["dev"]
