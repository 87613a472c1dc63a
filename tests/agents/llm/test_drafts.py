"""A chat model fills gaps of a draft: texts and the examiner are taken, code of modules and names are not changed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from discoenv.agents.llm import drafts
from discoenv.agents.llm.chat import ChatModel
from discoenv.tasks import new_domain, registry
from discoenv.tasks.domain import Domain
from discoenv.tasks.drafting.compose import GAP
from discoenv.tasks.drafting.writing import gaps
from tests.agents.llm.openai_server import Fail, FakeOpenAI, Say
from tests.cli.commands import fails, invoke

SCRIPT = Path(__file__).resolve().parents[2] / "data" / "scripts" / "digits_sklearn.py"
EXAMINER = (
    '"""Asks."""\n\nfrom discoenv.exams.examiner import Examiner\n\n\nclass DraftedExaminer(Examiner):\n    pass\n'
)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


def wanted(request: dict[str, Any]) -> tuple[str, str]:
    """The file that is asked for, and its text in the request."""
    text = request["messages"][-1]["content"]
    (name,) = re.findall(r"Fill the gaps of `(.+?)`", text)
    (block,) = re.findall(rf"^### `{re.escape(name)}`\n\n```\n(.*?)```$", text, flags=re.MULTILINE | re.DOTALL)
    return name, block


def filled(request: dict[str, Any]) -> Say:
    """What a good model answers."""
    name, text = wanted(request)
    text = (
        EXAMINER
        if name == "examiner.py"
        else re.sub(rf"{re.escape(GAP)}[^'\"\n]*", "What it is, and how it works.", text)
    )
    return Say(f"### `{name}`\n\n```\n{text}```\n")


def draft(tmp_path: Path, server: FakeOpenAI) -> Any:
    return invoke(
        *("new-domain", "Drafted", "--from", SCRIPT, "--into", tmp_path, "--model", "m", "--base-url", server.url)
    )


def test_gaps_are_filled_and_code_is_marked_as_unread(tmp_path: Path) -> None:
    with FakeOpenAI(filled) as server:
        result = draft(tmp_path, server)
    assert result.exit_code == 0, result.output
    assert "m wrote domain.yaml, examiner.py, templates/default/main.py" in " ".join(result.stdout.split())
    assert "read it before you use it" in result.stdout
    folder = tmp_path / "Drafted"
    left = [gap.place.partition(":")[0] for gap in gaps(folder)]
    assert left == ["examiner.py", "templates/default/main.py", "tests/test_domain.py", "draft.md"]
    assert (folder / "examiner.py").read_text() == drafts.UNREAD + EXAMINER
    assert "What it is, and how it works." in Domain(folder).prompt("model", backend="default")
    module = (folder / "templates/default/model.py").read_text()
    assert '"""What it is, and how it works."""' in module
    assert GAP not in module


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("templates/default/model.py", ("C=0.1", "C=9.9"), "the answer changes code of a module"),
        ("templates/default/model.py", ("# <solution>", "#"), "the answer changes code of a module"),
        ("templates/default/main.py", ("import", "imp ort"), "the answer is not Python"),
        ("domain.yaml", ("scikit-learn", "evil"), "the answer changes requirements"),
        ("domain.yaml", ("  model:", "  network:"), "the answer is not valid"),
        ("domain.yaml", ("version: 1", "version: one"), "the answer is not valid"),
        ("datasets/Digits/config.yaml", ("all:", "more:"), "the answer has other keys"),
    ],
)
def test_answers_that_change_more_are_left_out(file: str, change: tuple[str, str], reason: str, tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> Say:
        name, text = wanted(request)
        return Say(f"### `{name}`\n\n```\n{text.replace(*change) if name == file else text}```\n")

    folder = new_domain.draft_domain("Drafted", SCRIPT, tmp_path).folder
    before = (folder / file).read_text()
    with FakeOpenAI(answer) as server:
        model = ChatModel("m", base_url=server.url)
        done = drafts.fill_gaps(folder, model)
        model.close()
    assert (folder / file).read_text() == before
    assert reason in done.refused[file]
    assert list(done.refused) == [file]
    assert done.written == ()


def test_a_model_that_cannot_be_had_leaves_the_draft(tmp_path: Path) -> None:
    with FakeOpenAI([filled_text("description.md")], repeat=Fail(401, "no such key")) as server:
        result = draft(tmp_path, server)
    assert result.exit_code == 0, result.output
    assert "It was not asked further: " in result.stdout
    assert "no such key" in result.stdout
    assert (tmp_path / "Drafted/domain.yaml").is_file()
    assert "domain.yaml: left as it was: " in result.stdout


def filled_text(name: str) -> Say:
    return Say(f"### `{name}`\n\n```\nA text.\n```\n")


def test_a_model_without_a_script_has_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "new-domain", "Drafted", "--into", tmp_path, "--model", "m")
    assert message == "--model fills the gaps of a draft: name a training script by --from\n"
    assert not list(tmp_path.iterdir())


def test_nothing_is_made_before_script_and_model_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    words = ("new-domain", "Drafted", "--pack", tmp_path / "new-pack", "--from")
    assert "there is no such file or folder" in fails(capsys, *words, tmp_path / "absent.py")
    assert "there is no API key" in fails(capsys, *words, SCRIPT, "--model", "m")
    assert not list(tmp_path.iterdir())


def test_validate_lists_all_gaps_of_a_draft_in_order(tmp_path: Path) -> None:
    result = invoke("new-domain", "Drafted", "--from", SCRIPT, "--into", tmp_path)
    assert result.exit_code == 0, result.output
    assert "digits_sklearn.py:27  make_classifier: classifier = LogisticRegression(" in result.stdout
    assert "discoenv validate " in result.stdout
    result = invoke("validate", tmp_path / "Drafted", "--no-baselines")
    assert result.exit_code == 1
    listed = gaps(tmp_path / "Drafted")
    assert len(listed) > 8
    lines = [line.strip() for line in result.stdout.splitlines()]
    places = [line.partition(" ")[0] for line in lines if re.match(r"(✗ gaps +)?[\w/.]+:\d+: ", line)]
    assert places[1:] == [f"{gap.place}:" for gap in listed[1:]]
    assert "No code of the domain was run: these come first." in lines
    result = invoke("validate", tmp_path / "Drafted", "--no-baselines", "--json")
    assert [check["name"] for check in json.loads(result.stdout)["checks"] if check["state"] == "failed"] == ["gaps"]


def test_a_filled_declaration_is_the_same_but_for_its_texts(tmp_path: Path) -> None:
    folder = new_domain.draft_domain("Drafted", SCRIPT, tmp_path).folder
    text = (folder / "domain.yaml").read_text()
    assert drafts._why_not("domain.yaml", text, text.replace(GAP, "so")) == ""
    assert yaml.safe_load(text)["modules"].keys() == {"model", "features"}
