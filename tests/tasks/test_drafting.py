"""A draft of a script computes what the script did; what cannot be moved is reported; all that is missing is listed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from discoenv.errors import DomainError
from discoenv.python_text import parse
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import new_domain, registry, stubs
from discoenv.tasks.domain import Domain
from discoenv.tasks.drafting.compose import GAP, compose
from discoenv.tasks.drafting.cut import Reading, read_parts
from discoenv.tasks.drafting.scopes import bound, free
from discoenv.tasks.drafting.sources import hyperparameters, packages, read_sources
from discoenv.tasks.drafting.writing import Draft, gaps
from discoenv.testing import check_domain

SCRIPTS = Path(__file__).resolve().parents[1] / "data" / "scripts"
#: A script of each style, and the modules that are cut out of it.
STYLES = {
    "digits_sklearn.py": {"model": ["make_classifier"], "features": ["make_scaler", "make_pca"]},
    "spirals_torch.py": {
        "loss": ["smooth_loss"],
        "optim": ["make_optimizer"],
        "schedule": ["make_scheduler"],
        "network": ["Net"],
        "augment": ["augment"],
    },
    "ppo_jax.py": {
        "loss": ["loss_fn"],
        "optim": ["make_tx"],
        "schedule": ["linear_schedule"],
        "targets": ["calculate_gae"],
        "network": ["init_network", "actor_critic"],
    },
    "folder": {"loss": ["mse_loss"], "model_part": ["Linear"]},
}


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


def drafted(script: str | Path, tmp_path: Path) -> Draft:
    return new_domain.draft_domain("Drafted", SCRIPTS / script, tmp_path)


def read(text: str, tmp_path: Path) -> Reading:
    (tmp_path / "script.py").write_text(text)
    return read_parts(read_sources(tmp_path / "script.py"))


def printed(program: Path) -> str:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": ""}
    done = subprocess.run(
        [sys.executable, program.name], cwd=program.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- scripts of several styles


@pytest.mark.parametrize("script", STYLES)
def test_the_cut_script_prints_what_the_script_printed(script: str, tmp_path: Path) -> None:
    draft = drafted(script, tmp_path)
    assert {name: [part.name for part in parts] for name, parts in draft.files.parts.items()} == STYLES[script]
    workspace = tmp_path / "workspace"
    for path, text in draft.files.fixed.items():
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace / path).write_text(text)
    for name, text in draft.files.modules.items():
        (workspace / f"{name}.py").write_text(stubs.base(text, name))
        assert "NotImplementedError" in stubs.stub(text, name)
    original = SCRIPTS / script
    expected = printed(original / "train.py" if original.is_dir() else original)
    assert re.search(r"\d\.\d{4}", expected)
    assert printed(workspace / "main.py") == expected


@pytest.mark.parametrize("script", STYLES)
def test_a_draft_is_a_domain_whose_checks_list_what_is_missing_in_order(
    script: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    draft = drafted(script, tmp_path)
    domain = Domain(draft.folder)
    checks = {
        check.name: check for check in check_domain(domain, sandbox=sandbox, baselines=False, raise_on_failure=False)
    }
    assert [name for name, check in checks.items() if check.state == "failed"] == ["gaps"]
    assert "imports" not in checks, "no code of a draft is run"
    places = [line.partition(":")[0] for line in checks["gaps"].detail.splitlines()]
    order = ["domain.yaml", "examiner.py", "templates/default/main.py", "description.md", "draft.md"]
    assert [place for place in dict.fromkeys(places) if place in order] == order
    for gap in gaps(draft.folder)[:-1]:
        name, _, line = gap.place.rpartition(":")
        assert GAP in (draft.folder / name).read_text().splitlines()[int(line) - 1]


def test_solutions_are_not_named_in_fixed_files(tmp_path: Path) -> None:
    main = drafted("digits_sklearn.py", tmp_path).files.fixed["main.py"]
    assert "LogisticRegression" not in main
    assert "PCA" not in main
    assert "import numpy as np" in main


def test_what_the_script_says_of_data_metric_and_numbers_is_taken_over(tmp_path: Path) -> None:
    specification = Domain(drafted("digits_sklearn.py", tmp_path).folder).specification
    assert list(specification.datasets) == ["Digits", "Second"]
    assert (specification.metric.name, specification.metric.direction) == ("accuracy", "max")
    assert specification.requirements == ["numpy", "scikit-learn"]
    domain = Domain(tmp_path / "Drafted")
    assert domain.config("Digits", "small") == {"seed": 3, "components": 20, "n_estimators": 4}
    assert domain.config("Digits", "tiny")["n_estimators"] == 1
    assert "load_digits(return_X_y=True)" in (domain.directory / "examiner.py").read_text()


def test_options_and_configurations_are_hyperparameters() -> None:
    assert hyperparameters(read_sources(SCRIPTS / "spirals_torch.py"))["batch_size"] == 32
    assert hyperparameters(read_sources(SCRIPTS / "ppo_jax.py"))["num_updates"] == 20
    assert hyperparameters(read_sources(SCRIPTS / "folder"))["steps"] == 50
    assert packages(read_sources(SCRIPTS / "folder")) == ["numpy"]


def test_a_draft_that_is_filled_in_passes_all_checks(tmp_path: Path, sandbox: Sandbox) -> None:
    folder = drafted("digits_sklearn.py", tmp_path).folder
    (folder / "draft.md").unlink()
    (folder / "examiner.py").write_text(EXAMINER)
    (folder / "templates/default/main.py").write_text(MAIN)
    for path in (*folder.rglob("*.md"), *folder.rglob("*.yaml"), *folder.rglob("*.py")):
        text = re.sub(rf"# {re.escape(GAP)}.*\n", "\n", path.read_text())
        said = (
            "Digits of eight by eight pixels, from 0 to 16, as features float64[N, 64] and labels int64[N], once each."
        )
        path.write_text(re.sub(rf"{re.escape(GAP)}[^'\"\n]*", said, text))
    checks = check_domain(Domain(folder), sandbox=sandbox, baselines=False, raise_on_failure=False)
    assert {check.name: check.detail for check in checks if not check.ok} == {}
    assert checks[-1].name == "stub exams"


EXAMINER = """
import numpy as np
from sklearn.datasets import load_digits

from discoenv.exams.examiner import Array, Examiner


class DigitsExaminer(Examiner):
    def training_data(self, seed):
        x, y, order = self._drawn(seed)
        return {"x": x[order[:900]], "y": y[order[:900]]}

    def examine(self, learner, seed):
        x, y, order = self._drawn(seed)
        answers = learner.ask("predict", x[order[900:]], returns=Array((len(x) - 900,), kind="int", low=0, high=9))
        return {"accuracy": float(np.mean(answers == y[order[900:]]))}

    def floor(self, seed):
        return {"accuracy": 0.1}

    def _drawn(self, seed):
        x, y = load_digits(return_X_y=True)
        return x, y, self.generator(seed, "order").permutation(len(x))
"""
MAIN = """
import exam
import yaml
from features import make_pca, make_scaler
from model import make_classifier


class Learner:
    def __init__(self, scaler, pca, classifier):
        self.parts = scaler, pca, classifier

    def predict(self, x):
        scaler, pca, classifier = self.parts
        return classifier.predict(pca.transform(scaler.transform(x)))


if __name__ == "__main__":
    with open("config.yaml", encoding="utf-8") as file:
        config = yaml.safe_load(file)
    data = exam.training_data()
    scaler, pca = make_scaler(), make_pca(config["components"], exam.seed() % 2**31)
    classifier = make_classifier(config["n_estimators"])
    classifier.fit(pca.fit_transform(scaler.fit_transform(data["x"])), data["y"])
    exam.serve(Learner(scaler, pca, classifier))
"""


# ---- names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x + y", {"x", "y"}),
        ("x = 1\nx += y", {"x", "y"}),
        ("def f(a, *b, c=d, **e): return a + b + c + e + g", {"d", "g"}),
        ("def f(a: T) -> S:\n    h = a\n    def g(): return h + k\n    return g", {"T", "S", "k"}),
        ("lambda a, b=c: a + b + d", {"c", "d"}),
        ("[i + j for i in k if i > m for n in i]", {"j", "k", "m"}),
        ("class A(B, metaclass=M):\n    x = 1\n    y = x + z\n    def f(self): return w", {"B", "M", "z", "w"}),
        ("def f():\n    import os\n    with a as b, c: return os, b\n    for d in e: pass", {"a", "c", "e"}),
        ("def f():\n    global x\n    x = 1", {"x"}),
        ("def f():\n    try: pass\n    except E as e: return e", {"E"}),
        (
            "def f(v):\n    match v:\n        case {'k': a, **rest}: return a, rest\n        case [b, *c]: return b, c",
            set(),
        ),
        ("def f(v): return [w for u in v if (w := u)], w", set()),
        ("@d\ndef f(): pass", {"d"}),
    ],
)
def test_names_that_code_takes_from_around_it(text: str, names: set[str]) -> None:
    tree = parse(text)
    assert free(tree.body) == names


def test_names_that_statements_bind() -> None:
    tree = parse(
        "import a.b, c as d\ne, (f, *g) = h\nfor i in j:\n    k: int = 1\ndef m(n): o = 1\n[p for q in r]\ndel s"
    )
    assert set(bound(tree.body)) == {"a", "d", "e", "f", "g", "i", "k", "m", "s"}


# ---- what cannot be moved


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "n = 0\ndef loss(x):\n    global n\n    n += 1\n    return x",
            "loss (loss) assigns names of the code around it",
        ),
        ("def train():\n    def loss(x): return loss(x - 1) if x else x\n    return loss(1)", "calls itself"),
        (
            "class Loss(Module):\n    def forward(self):\n        'Abstract.'",
            "Loss (loss) has no statement that an agent",
        ),
        ("if True:\n    def loss(x):\n        return x", "is defined within a condition or a loop"),
        ("def train():\n    class LossModule(nn.Module):\n        def f(self): pass", "is a class within a function"),
        (
            "seed = input()\nclass Net(Module):\n    def f(self): return seed",
            "Net (network) uses seed of the running script",
        ),
        (
            "import torch\nself.optimizer = torch.optim.SGD(p, lr=1)",
            "what self.optimizer is set to (optim) is made in place",
        ),
    ],
)
def test_what_stays_is_reported_with_the_reason(text: str, why: str, tmp_path: Path) -> None:
    reading = read(text, tmp_path)
    assert reading.parts == []
    assert why in "\n".join(reading.left)


def test_files_never_import_each_other_in_a_circle(tmp_path: Path) -> None:
    text = "def loss(x):\n    return forward(x)\n\n\ndef forward(x):\n    return x and loss(x - 1)\n"
    reading = read(text, tmp_path)
    files = compose(reading)
    assert list(files.modules) == ["loss"]
    assert "def loss(x, *, forward)" in files.modules["loss"]
    assert "would import each other" in reading.left[0]


def test_star_imports_decorators_and_late_names_are_kept(tmp_path: Path) -> None:
    text = (
        "from math import *\nimport functools\nscale = float(input())\n\n\n"
        "@functools.cache\ndef loss(x, y=2, *rest, z=3, **more):\n    return sqrt(x) * scale\n"
    )
    files = compose(read(text, tmp_path))
    assert files.modules["loss"].count("from math import *") == 1
    main = files.fixed["main.py"]
    assert "    @functools.cache\n    def loss(x, y=2, *rest, z=3, **more):\n" in main
    assert "return discovered_loss(x, y, *rest, z=z, scale=scale, **more)" in main
    assert "def loss(x, y, *rest, z, scale, **more):" in files.modules["loss"]


def test_texts_in_several_lines_are_moved_as_they_are(tmp_path: Path) -> None:
    text = 'def train(k):\n    def loss(x):\n        s = """a\n          b"""\n        return k, s\n    return loss\n'
    module = compose(read(text, tmp_path)).modules["loss"]
    body = parse(stubs.base(module, "loss.py")).body[-1]
    assert ast.literal_eval(ast.unparse(body.body[1].value)) == "a\n          b"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body",
    [
        "    x = 1; y = x\n    return y",
        '    """Half; whole."""\n    return x',
        '    """Half."""; return x',
        " return x",
    ],
)
def test_bodies_are_marked_whole(body: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"def loss(x):{'' if body[1] == 'r' else chr(10)}{body}\n")
    module = compose(read_parts(read_sources(tmp_path / "script.py"))).modules["loss"]
    (solution,) = stubs.solutions(module, "loss.py")
    assert "return" in solution
    assert "return" not in stubs.stub(module, "loss.py")
    assert ("y = x" in solution) == ("y = x" in body)


# ---- what cannot be read


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.py", None, "there is no such file or folder; name a training script"),
        ("wrong.py", b"def :", "wrong.py:1: not valid Python"),
        ("bytes.py", b"x = '\xff'", "it is not text in UTF-8"),
        ("null.py", b"x = 1\0", "not valid Python"),
        ("empty.py", b"", "nothing in it can be made a module; put what is to be discovered"),
        ("deep.py", b"x = " + b"-" * 50_000 + b"1", "not valid Python"),
        ("long.py", b"loss = " + b"+".join([b"x"] * 5000), "nested too deeply"),
    ],
)
def test_scripts_that_cannot_be_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DomainError, match=re.escape(message)):
        new_domain.draft_domain("Drafted", tmp_path / name, tmp_path)
    assert not (tmp_path / "Drafted").exists()


def test_a_folder_without_a_training_script_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text("x = 1\n")
    with pytest.raises(DomainError, match="no Python file in it looks like one that trains"):
        new_domain.draft_domain("Drafted", tmp_path, tmp_path)
