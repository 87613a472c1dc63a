"""What a program in DiscoGen's format needs is read from its text."""

from __future__ import annotations

import pytest

from discoenv.discogen.code import defines, imported_packages, needs_network


def test_imports_are_followed_from_file_to_file() -> None:
    files = {
        "main.py": "import os, torch.nn as nn\nfrom loss import f\nimport src.data\nfrom tools import evaluate\n",
        "loss.py": "import jax.numpy as jnp\nfrom optax import adam\n",
        "src/data/__init__.py": "from .read import load\nfrom ..names import NAMES\n",
        "src/data/read.py": "import pandas\n",
        "src/names.py": "import yaml\n",
        "deep/tools/__init__.py": "from . import evaluate\n",
        "deep/tools/evaluate.py": "import sklearn.metrics\n",
        "visualise.py": "import matplotlib\n",
    }
    assert imported_packages(files) == ["jax", "optax", "pandas", "sklearn", "torch", "yaml"]


def test_what_a_program_starts_without_is_left_out() -> None:
    tried = "try:\n    import flash\nexcept ImportError:\n    flash = None\n"
    text = f"{tried}def draw():\n    import matplotlib\nimport numpy\n"
    assert imported_packages({"main.py": text}) == ["numpy"]
    assert imported_packages({"main.py": "import numpy\nthis is no Python"}) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def download_dataset(place): pass", True),
        ("from common import fetch as download_dataset", True),
        ("download_dataset = print", True),
        ("def make_dataset(): pass", False),
        ("import numpy", False),
    ],
)
def test_a_download_function_is_optional(text: str, found: bool) -> None:
    assert defines(text, "download_dataset") == found


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("def download_dataset(place): place.mkdir()", False),
        ("import numpy as np\nimport torch\ndef download_dataset(place): np.save(place / 'x', np.ones(3))", False),
        ("def download_dataset(place):\n    import shutil\n    shutil.copy2('a', place)", False),
        ("from urllib.request import urlopen\ndef get(): urlopen(URL)\ndef download_dataset(place): get()", True),
        ("import torchvision\ndef download_dataset(place): torchvision.datasets.MNIST(place)", True),
        ("def download_dataset(place):\n    import datasets\n    datasets.load_dataset('x')", True),
        ("def download_dataset(place): open('https://example.org/x')", True),
        ("def download_dataset(place): __import__('requests')", True),
        ("from common import download_dataset", True),
    ],
)
def test_whether_a_download_needs_a_network(text: str, needed: bool) -> None:
    assert needs_network(text, "download_dataset") == needed
