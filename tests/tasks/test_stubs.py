"""Bases and stubs are both derived from one marked source; a faulty source is named with its line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from discoenv.errors import DomainError
from discoenv.tasks import stubs
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain

SOURCE = '''\
"""Losses."""

import math

SCALE = 2.0


def loss(prediction, target):
    """Mean loss."""
    # <solution>
    return SCALE * abs(prediction - target)
    # </solution>


class Head:
    """A head."""

    def forward(self, x):
        """Twice x."""
        y = x
        # <solution>
        y = y + x
        # </solution>
        return y
'''


def test_base_is_the_source_without_its_marks() -> None:
    assert stubs.base(SOURCE, "loss.py") == "".join(
        line for line in SOURCE.splitlines(keepends=True) if "solution>" not in line
    )


def test_stub_keeps_everything_but_the_marked_regions() -> None:
    assert (
        stubs.stub(SOURCE, "loss.py")
        == '''\
"""Losses."""

import math

SCALE = 2.0


def loss(prediction, target):
    """Mean loss."""
    raise NotImplementedError("loss.py: loss is not implemented")


class Head:
    """A head."""

    def forward(self, x):
        """Twice x."""
        y = x
        raise NotImplementedError("loss.py: Head.forward is not implemented")
        return y
'''
    )


def test_stub_imports_and_its_functions_raise_an_error_that_names_them() -> None:
    namespace: dict[str, object] = {"__name__": "loss"}
    exec(compile(stubs.stub(SOURCE, "loss.py"), "loss.py", "exec"), namespace)
    loss = namespace["loss"]
    assert callable(loss)
    with pytest.raises(NotImplementedError, match=r"^loss\.py: loss is not implemented$"):
        loss(1.0, 2.0)
    head = namespace["Head"]
    assert isinstance(head, type)
    with pytest.raises(NotImplementedError, match=r"Head\.forward"):
        head().forward(1.0)


def test_region_belongs_to_the_innermost_function() -> None:
    source = "def outer():\n    def inner():\n        # <solution>\n        pass\n        # </solution>\n    inner()\n"
    assert "a.py: outer.inner is not implemented" in stubs.stub(source, "a.py")


def test_decorated_and_asynchronous_functions_are_functions() -> None:
    source = "@staticmethod\nasync def f():\n    # <solution>\n    return 1\n    # </solution>\n"
    assert "a.py: f is not implemented" in stubs.stub(source, "a.py")


def test_marks_with_other_line_ends_are_marks() -> None:
    windows = SOURCE.replace("\n", "\r\n")
    assert "solution>" not in stubs.base(windows, "loss.py")
    assert stubs.stub(windows, "loss.py").count("NotImplementedError") == 2


def test_line_numbers_are_those_of_python() -> None:
    """A form feed ends a line for ``str.splitlines`` but not for Python."""
    with pytest.raises(DomainError, match=r"^a\.py:3: "):
        stubs.stub("x = 1\n\f\n# <solution>\n", "a.py")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f():\n    # <solution>\n    pass\n", "a.py:2: the marked region is not closed"),
        (
            "def f():\n    # <solution>\n    # <solution>\n    pass\n    # </solution>\n",
            "a.py:3: a marked region is opened inside another",
        ),
        ("def f():\n    pass\n    # </solution>\n", "a.py:3: a marked region is closed that was not opened"),
        ("# <solution>\nx = 1\n# </solution>\n", "a.py:1: the marked region is not inside a function"),
        (
            "class A:\n    # <solution>\n    x = 1\n    # </solution>\n",
            "a.py:2: the marked region is not inside a function",
        ),
        ("def f():\n    pass\n", "a.py: nothing is marked with # <solution> … # </solution>"),
        (
            "def f(:\n    # <solution>\n    pass\n    # </solution>\n",
            "a.py:1: not valid Python",
        ),
        (
            "def f(x):\n    # <solution>\n    if x:\n    # </solution>\n        return 1\n",
            "a.py: the stub is not valid Python: line 3",
        ),
    ],
)
def test_a_faulty_source_gives_an_error_that_names_file_and_line(source: str, message: str) -> None:
    with pytest.raises(DomainError) as caught:
        stubs.stub(source, "a.py")
    assert str(caught.value).startswith(message)


def test_base_refuses_marks_that_do_not_match() -> None:
    with pytest.raises(DomainError, match=r"^a\.py:1: the marked region is not closed"):
        stubs.base("# <solution>\n", "a.py")


def test_stubs_of_the_toy_domain_import_where_the_base_would(toy: Domain, tmp_path: Path) -> None:
    for module in toy.modules:
        text = stubs.stub(toy.module_source(module, backend="default"), f"{module}.py")
        (tmp_path / f"{module}.py").write_text(text)
    command = [sys.executable, "-c", "import features, model; print(type(model.Model()))"]
    done = subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "<class 'model.Model'>\n"


HINTS = '''\
"""A model."""

from __future__ import annotations

import math
from typing import Protocol

import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from basis import width
from scipy.stats import norm, qmc
from sklearn.linear_model import LinearRegression


class Model(Protocol):
    """A model."""


def make(x):
    """A model of x, and a sampler: {qmc}."""
    # <solution>
    return LinearRegression(norm.cdf(width(x)), jsl.cholesky(jnp.eye(math.ceil(2)))), qmc, np
    # </solution>


def check(x):
    """Whether x is one."""
    return isinstance(x, qmc.Sobol)
'''


def test_a_stub_imports_nothing_that_gives_the_solution_away() -> None:
    text = stubs.stub(HINTS, "model.py", local={"basis"})
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert imports == [
        "from __future__ import annotations",
        "import math",
        "from typing import Protocol",
        "import jax.numpy as jnp",
        "import numpy as np",
        "from basis import width",
        "from scipy.stats import qmc",
    ]
    compile(text, "model.py", "exec")


@pytest.mark.parametrize("name", ["BayesianOptimisation", "GreenhouseGasPrediction", "OffPolicyRL", "OnPolicyRL"])
def test_no_stub_names_what_its_solution_is_made_of(name: str) -> None:
    domain = get_domain(name)
    stubbed = "".join(
        domain.module_text(module, backend=backend, start="stub")
        for backend in domain.specification.backends
        for module in domain.modules
    )
    for hint in ("LinearRegression", "import norm", "qmc", "jax.scipy.linalg", "TrainState", "orthogonal"):
        assert hint not in stubbed
