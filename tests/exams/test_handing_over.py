"""Exams of states, in a real sandbox: who answers, what a wrong state comes to, what a learner that answers can see."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import base_modules, materialise
from tests.conftest import TOY, MakeVariant
from tests.exams import handed_over

Run = Callable[..., ExamResult]
BASE = (TOY / "Toy/templates/default/model.py").read_text().replace("# <solution>", "").replace("# </solution>", "")


@pytest.fixture(scope="module")
def host(sandbox: Sandbox) -> Iterator[Host]:
    """One host, and so warm examiners, for all tests."""
    with Host(sandbox) as host:
        yield host


@pytest.fixture
def domain(make_variant: MakeVariant) -> Domain:
    """The toy domain, whose training hands over weights."""
    examiner = (TOY / "Toy/examiner.py").read_text()
    return make_variant("Toy", change=handed_over.artefact, files=handed_over.files(examiner))


@pytest.fixture
def run(domain: Domain, host: Host, task: Task, tmp_path: Path) -> Run:
    """Runs an exam of the base modules, of which some are replaced."""

    def run(modules: Mapping[str, str] | None = None, *, editable: tuple[str, ...] = ("model",)) -> ExamResult:
        texts = base_modules(task) | dict(modules or {})
        workspace = materialise(task, tmp_path / "workspace", modules=texts)
        return host.run(workspace, ExamSpec(Setting(domain, "default", "Line", "tiny"), 1, 60.0, editable=editable))

    return run


def handing_over(state: str) -> dict[str, str]:
    """A model that hands over an expression."""
    return {"model.py": f"{BASE}\n    def state(self):\n        import numpy as np\n        return {state}\n"}


def test_our_own_code_and_a_learner_answer_alike(run: Run) -> None:
    own, learner = run(), run(editable=("model", "features"))
    assert own.status == learner.status == "ok"
    assert own.metrics == learner.metrics
    assert own.questions == learner.questions == 4
    assert own.answering_s == 0.0
    assert learner.answering_s > 0.0
    assert own.training_s is not None
    assert own.seconds == own.training_s


def test_what_is_not_known_to_be_base_is_not_done_by_our_own_code(run: Run) -> None:
    assert run(editable=()).answering_s == 0.0
    features = {"features.py": "import numpy as np\n\ndef features(x):\n    return np.stack([x, x**2, 1 + 0 * x], 1)\n"}
    better, base = run(features, editable=("features",)), run()
    assert better.metrics
    assert base.metrics
    assert better.metrics["r2"] > base.metrics["r2"]


def test_a_learner_that_answers_has_what_it_needs_and_no_more(run: Run) -> None:
    """It prints what it sees; the training before it prints, too."""
    looking = (
        "import os, sys\nfrom pathlib import Path\nimport numpy as np\n\n"
        "def features(x):\n    return np.stack([1 + 0 * x, x], axis=1)\n\n"
        "if 'main.py' not in sys.argv[0]:\n"
        "    print('FILES', sorted(str(path) for path in Path('/workspace').rglob('*') if path.is_file()))\n"
        "    print('EXAM', sorted(os.listdir('/exam')))\n"
        "    print('SETTINGS', sorted(name for name in os.environ if name.startswith('EXAM')))\n"
    )
    result = run({"features.py": looking}, editable=("features",))
    assert (result.status, result.message) == ("ok", "")
    files = ["answer.py", "exam/__init__.py", "exam/messages.py", "features.py"]
    assert f"FILES {[f'/workspace/Line/{name}' for name in files]}" in result.stdout
    assert "EXAM ['begin.py', 'begun', 'socket']" in result.stdout
    assert "SETTINGS ['EXAM_SOCKET']" in result.stdout


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("None", "the state is None; expected a dict of arrays"),
        ("{}", "the state holds no array"),
        ("{'wieghts': self.weights}", "the state lacks 'weights'; its keys must be 'weights'"),
        ("{'weights': self.weights, 'labels': np.zeros(3)}", "the state has 'labels' too"),
        ("{'weights': self.weights * np.nan}", "state 'weights': 2 of 2 values are NaN or infinite"),
        ("{'weights': [self.weights]}", "state 'weights' must be float[D]"),
        ("{'weights': self.weights.astype(int)}", "state 'weights' must be float[D]"),
        ("{'weights': np.zeros(17)}", "the state has 17 weights; the configuration allows 16"),
        ("{'weights': np.zeros(1 << 20)}", "the state has 8,388,608 bytes; 65,536 are allowed"),
        ("{'weights': self}", "TypeError"),
        ("{'weights': 'table of labels'}", "state 'weights' is str; expected an array of numbers"),
        ("{'weights': np.zeros(3)}", "the state cannot be used: ValueError: matmul"),
    ],
)
def test_a_wrong_state_is_an_outcome_that_names_the_array(run: Run, state: str, message: str) -> None:
    result = run(handing_over(state))
    assert (result.status, result.metrics) in [("protocol_error", None), ("error", None)]
    assert message in result.message


def test_training_that_serves_instead_of_handing_over_is_told_so(run: Run) -> None:
    result = run({"model.py": BASE + "\nimport exam\nexam.serve(object())\n"})
    assert (result.status, result.metrics) == ("protocol_error", None)
    assert "the first message was not hand_over()'s state" in result.message


def test_nothing_of_a_training_lives_on_while_its_state_is_examined(run: Run) -> None:
    """A child that was left behind cannot answer: it is gone, and its socket with it."""
    leaving = (
        "\nimport os, threading, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    result = run({"model.py": BASE + leaving})
    assert result.status == "ok"
    assert result.background_s == 0.0
    assert result.metrics == run().metrics


WITNESSED = """

def examine(self, learner, seed):
    x, y = self._held_out(seed)
    predictions = learner.ask("predict", x, returns=Array((len(x),)))
    if learner.witness is not None:
        said = learner.witness.ask("predict", x[::-1].copy(), returns=Array((len(x),)))[::-1]
        if not np.allclose(predictions, said):
            raise ProtocolError("the witness said something else")
    return self._metrics(predictions, y)


RegressionExaminer.examine = examine
"""


@pytest.fixture
def run_before_witness(make_variant: MakeVariant, host: Host, task: Task, tmp_path: Path) -> Run:
    """As ``run``, where a second learner answers, too; always with ``features`` as the agent's."""
    examiner = (TOY / "Toy/examiner.py").read_text()
    files = handed_over.files(examiner)
    domain = make_variant(
        "Toy",
        change=functools.partial(handed_over.artefact, witness=True),
        files={**files, "examiner.py": f"{files['examiner.py']}{WITNESSED}"},
    )

    def run(modules: Mapping[str, str], **options: object) -> ExamResult:
        workspace = materialise(task, tmp_path / "workspace", modules=base_modules(task) | dict(modules))
        spec = ExamSpec(Setting(domain, "default", "Line", "tiny"), 1, 60.0, editable=("features",))
        return host.run(workspace, spec)

    return run


def test_a_witness_answers_for_the_same_state_and_shares_nothing_else(run_before_witness: Run) -> None:
    honest = run_before_witness({})
    assert (honest.status, honest.questions) == ("ok", 2)
    base = "import numpy as np\n\ndef features(x):\n    return np.stack([np.ones_like(x), x], axis=1)\n"
    assert run_before_witness({"features.py": base}).metrics == honest.metrics
    remembering = (
        "import os\nimport numpy as np\nasked = []\nfirst = not os.path.exists('/tmp/mark')\nopen('/tmp/mark', 'w')\n\n"
        "def features(x):\n    asked.append(x)\n    assert first and len(asked) == 1\n"
        "    return np.stack([np.ones_like(x), x], axis=1)\n"
    )
    assert run_before_witness({"features.py": remembering}).metrics == honest.metrics  # each was asked once
    own_way = base.replace("x], axis", "x * np.random.default_rng().random()], axis")
    refused = run_before_witness({"features.py": own_way})
    assert (refused.status, refused.message) == ("protocol_error", "the witness said something else")


def test_a_state_of_which_fixed_files_die_is_the_agent_s_fault(
    make_variant: MakeVariant, host: Host, task: Task, tmp_path: Path
) -> None:
    """Even where they read it before they read a module of the agent."""
    files = handed_over.files((TOY / "Toy/examiner.py").read_text())
    late = handed_over.ANSWER.replace("from features import features\n", "import numpy as np\n")
    late = late.replace('state["weights"]\n', 'state["weights"]\n        np.zeros(2) @ self._weights\n')
    late = late.replace("return features(x)", "from features import features; return features(x)")
    name = next(name for name, text in files.items() if text == handed_over.ANSWER)
    domain = make_variant("Toy", change=handed_over.artefact, files={**files, name: late})
    workspace = materialise(
        task, tmp_path / "workspace", modules=base_modules(task) | handing_over("{'weights': np.zeros(3)}")
    )
    spec = ExamSpec(Setting(domain, "default", "Line", "tiny"), 1, 60.0, editable=("model", "features"))
    result = host.run(workspace, spec)
    assert result.status == "error"
    assert "matmul" in result.message


@pytest.mark.parametrize("who", ["one", "both"])
def test_a_learner_or_its_witness_that_leaves_is_an_outcome(run_before_witness: Run, who: str) -> None:
    leaving = "random.random() < 0.5" if who == "one" else "True"
    text = (
        "import os, random, sys\nimport numpy as np\n\ndef features(x):\n"
        f"    if 'main.py' not in sys.argv[0] and {leaving}:\n        os._exit(7)\n"
        "    return np.stack([np.ones_like(x), x], axis=1)\n"
    )
    results = [run_before_witness({"features.py": text}) for _ in range(3 if who == "one" else 1)]
    for result in results:
        assert result.status in (("ok", "error") if who == "one" else ("error",))
        assert result.status == "ok" or "ended with exit code 7" in result.message


FUZZED = """
    def state(self):
        import random
        import numpy as np
        rng = random.Random({seed})
        def tree(level):
            kind = rng.randrange(9 if level < 5 else 5)
            if kind < 4:
                shape = tuple(rng.randrange(5) for _ in range(rng.randrange(4)))
                array = np.zeros(shape, rng.choice(["f2", "f4", "f8", "i1", "i8", "u2", "?", "c8"]))
                if array.size and array.dtype.kind == "f" and rng.random() < 0.4:
                    array.flat[0] = rng.choice([np.nan, np.inf, 1e4])
                return array
            if kind == 4:
                return rng.choice([None, "text", True, 1.5, 1 << 40, np.zeros(9000)])
            if kind < 7:
                return {{rng.choice(["a", "weights", "", "a/b"]): tree(level + 1) for _ in range(rng.randrange(3))}}
            return [tree(level + 1) for _ in range(rng.randrange(3))]
        return {{rng.choice(["weights", "weights", "w"]): tree(0)}}
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("editable", ["model", "features"])
def test_no_state_crashes_an_examiner(run: Run, editable: str) -> None:
    """The examiner process is one and the same throughout: a fault of it would be an InfraError."""
    for seed in random.Random(editable).sample(range(10_000), 250):
        result = run({"model.py": BASE + FUZZED.format(seed=seed)}, editable=("model", editable))
        assert result.status in ("ok", "protocol_error", "error"), seed
        assert result.status == "ok" or result.message, seed
