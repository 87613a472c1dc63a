"""Requirements: the packages that they name, in which version those are installed, and what they require in turn."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from discoenv.machine import packages

PACKAGES = {
    "Base-Lib": ("1.0+local", []),
    "middle": ("2.0", ["base_lib>=1", "absent[b,a]>=3,<4", "win; sys_platform == 'win32'", "only-extra; extra == 'x'"]),
    "only-extra": ("1.0", []),
    "thing": (
        "0.1",
        [
            "middle",
            "alpha[one]>=1; extra == 'small'",
            'thing[small]; extra == "large"',
            "beta; extra == 'large'",
            "gamma; python_version < '3' and extra == 'large'",
        ],
    ),
}


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four packages, as pip leaves them."""
    for name, (version, requires) in PACKAGES.items():
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {each}" for each in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
    (tmp_path / "middle-2.0.dist-info" / "top_level.txt").write_text("centre\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_names_are_canonical_and_text_that_is_no_requirement_names_none() -> None:
    texts = ["jax>=0.6", "jax[cuda12]", "Scikit_Learn ; python_version > '3'", "a.b @ https://x.invalid/a.whl"]
    assert packages.names([*texts, "git+https://x.invalid/c", "./d", ""]) == ["jax", "jax", "scikit-learn", "a-b"]


def test_versions_are_those_installed() -> None:
    assert packages.version("BASE_lib") == "1.0+local"
    assert packages.version("absent") is None
    assert packages.versions(["middle", "absent", "thing"]) == {"middle": "2.0", "thing": "0.1"}
    assert packages.missing(["middle>=9", "absent>1", "base.lib", "absent-too"]) == ["absent", "absent-too"]


def test_modules_are_provided_by_packages() -> None:
    assert packages.provider("centre") == "middle"
    assert packages.provider("absent") == "absent"


def test_the_closure_of_requirements_leaves_out_extras_and_other_platforms() -> None:
    found = packages.closure(["thing[large]", "absent>=2"])
    assert list(found) == ["thing", "middle", "base-lib", "absent"]
    assert [each.version for each in found.values()] == ["0.1", "2.0", "1.0+local", None]


def test_pins_are_for_pip() -> None:
    found = packages.closure(["thing[large]", "elsewhere @ https://x.invalid/e.whl"])
    assert [each.pin() for each in found.values()] == [
        "thing[large]==0.1",
        "middle==2.0",
        "base-lib==1.0",
        "absent[a,b]<4,>=3",
        "elsewhere @ https://x.invalid/e.whl",
    ]


def test_an_extra_may_name_others_of_its_package() -> None:
    assert packages.of_extra("thing", "small") == ["alpha[one]>=1"]
    assert packages.of_extra("thing", "large") == ["alpha[one]>=1", "beta"]
    assert packages.of_extra("thing", "none") == []
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        packages.of_extra("absent", "small")
