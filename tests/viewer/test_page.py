"""The page in a real browser: what people see of a list, a run, a comparison and an exported file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from discoenv.episodes.record import EventRecord, ExamRecord, ResultRecord, ScoreRecord, SetupRecord, StepRecord
from discoenv.episodes.recorder import Recorder
from discoenv.tasks.task import Task
from discoenv.viewer.episode import EpisodeView
from discoenv.viewer.export import export
from discoenv.viewer.server import ViewerServer
from tests.viewer import recorded
from tests.viewer.conftest import Serve

ROOT = Path(__file__).resolve().parents[2]


class Page:
    """The page as a reader uses it. Waits for what is asked for."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def open(self, address: str) -> None:
        self.browser.get("about:blank")
        self.browser.get(address)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition: Callable[[], Any]) -> Any:
        """The first true value of a condition."""
        return WebDriverWait(self.browser, 20, 0.05).until(lambda _: condition())

    def one(self, selector: str) -> WebElement:
        """The first element, as soon as there is one."""
        found: WebElement = self.wait(lambda: next(iter(self.all(selector)), None))
        return found

    def says(self, selector: str, text: str) -> None:
        """Wait until an element says something."""
        self.wait(
            lambda: text in self.script("return document.querySelector(arguments[0])?.textContent || ''", selector)
        )

    def script(self, code: str, *arguments: object) -> Any:
        return self.browser.execute_script(code, *arguments)

    def press(self, key: str) -> None:
        self.browser.switch_to.active_element.send_keys(key)

    def size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def errors(self) -> list[str]:
        """What the browser complained about since this was asked last."""
        log = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in log if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture
def page(chromium: webdriver.Chrome) -> Iterator[Page]:
    shown = Page(chromium)
    shown.size(1400, 900)
    shown.errors()
    yield shown
    assert shown.errors() == []


def address(server: ViewerServer, run: Path, root: Path, step: int | None = None) -> str:
    name = quote(run.relative_to(root).as_posix(), safe="")
    return f"{server.url}#/run/{name}" + ("" if step is None else f"/step/{step}")


def scored(step: int, score: float, printed: str) -> EventRecord:
    """A ``run`` on the dataset ``Line``."""
    exam = ExamRecord(status="ok", stdout=printed, seconds=1.0)
    record = ScoreRecord(normalised=score, exams=(exam,))
    info = StepRecord(score=score, meta_train_reward=score, meta_train={"Line": record})
    return EventRecord(event="step", step=step, action={"edits": [], "command": "run"}, info=info)


def test_the_list_can_be_searched_filtered_sorted_and_opened(
    page: Page, server: ViewerServer, runs: Path, scripted_run: Path, chat_run: Path
) -> None:
    page.open(server.url)
    page.wait(lambda: len(page.all(".runs tbody tr")) == 2)
    assert page.one("h1").text == "2 runs"
    assert "example-model" in page.one(".runs").text
    assert page.all(".rewards .strip a"), "rewards are drawn"
    page.press("/")
    page.press("example")
    page.wait(lambda: len(page.all(".runs tbody tr")) == 1)
    assert page.browser.current_url.endswith("#/?q=example")
    assert page.script("return document.activeElement.id") == "search", "typing goes on"
    page.browser.refresh()
    page.wait(lambda: len(page.all(".runs tbody tr")) == 1)
    page.open(f"{server.url}#/?sort=-reward")
    page.wait(lambda: len(page.all(".runs tbody tr")) == 2)
    shown = [float(cell.text) for cell in page.all(".runs td.reward")]
    assert shown == sorted(shown, reverse=True)
    page.one("[data-key=sort-reward]").click()
    page.wait(lambda: [float(cell.text) for cell in page.all(".runs td.reward")] == sorted(shown))
    page.one(f'[data-key="open-scripted/{scripted_run.name}"]').click()
    page.says("h1", "GreenhouseGasPrediction")
    assert page.browser.current_url == address(server, scripted_run, runs)


def test_a_run_shows_its_reward_chart_steps_and_changes(
    page: Page, server: ViewerServer, runs: Path, scripted_run: Path
) -> None:
    reward = json.loads((scripted_run / "result.json").read_text())["reward"]
    page.open(address(server, scripted_run, runs))
    page.says(".figure.hero dd", f"{reward:.3f}")
    assert len(page.all(".timeline a")) == 6
    assert page.one("[aria-current=step]").text.startswith("Step 5"), "the newest step is shown"
    assert len(page.all(".chart .line.thick .dot")) == 4
    assert len(page.all(".chart .line:not(.thick):not(.stepped)")) == len(recorded.TASK["meta_train"])
    assert len(page.all(".chart .test g")) == len(recorded.TASK["meta_test"])
    for mark in ("line.baseline", "line.floor"):
        assert page.all(f".chart {mark}")
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    high, low = (page.script(top, f".chart line.{name}") for name in ("baseline", "floor"))
    assert high < low
    page.all(".timeline a")[3].click()
    page.says(".detail h2", "Step 3")
    added = [line.text for line in page.all(".codeline.added code")]
    written = (scripted_run / "files" / "step_003" / "model.py").read_text().splitlines()
    assert "    return np.column_stack([t, t**2, *harmonics])" in added
    assert {line.strip() for line in added} <= {line.strip() for line in written} | {
        line.strip() for line in (scripted_run / "files" / "step_003" / "data_processing.py").read_text().splitlines()
    }
    page.one("input[value=start]").click()
    page.wait(lambda: len(page.all(".codeline.added")) > len(added))


def test_the_evidence_says_which_runs_really_differ(
    page: Page, server: ViewerServer, runs: Path, scripted_run: Path
) -> None:
    page.open(address(server, scripted_run, runs))
    page.one("summary[data-key=evidence]").click()
    rows = page.wait(lambda: page.all(".evidence tbody tr"))
    view = EpisodeView(scripted_run)
    view.update()
    history = view.history()
    assert len(rows) == len(history) == 4
    assert [row.text.splitlines()[0].startswith(f"run {n}") for n, row in enumerate(rows, 1)] == [True] * 4
    assert [n for n, row in enumerate(rows) if "best" in row.text] == [
        n for n, run in enumerate(history) if run["is_best"]
    ]
    others = [run for run in history if run["difference"]]
    assert others
    for run in others:
        row = rows[run["run"] - 1].text
        assert f"{run['difference']['difference']:+.3f}".replace("+0.000", "0.000") in row
    rows[1].find_element(By.CSS_SELECTOR, "a").click()
    page.says(".detail h2", f"Step {history[1]['step']}")


def test_a_step_has_an_address_and_keys_turn_the_steps(
    page: Page, server: ViewerServer, runs: Path, scripted_run: Path
) -> None:
    page.open(address(server, scripted_run, runs, step=2))
    page.says(".detail h2", "Step 2")
    page.press("j")
    page.says(".detail h2", "Step 3")
    assert page.browser.current_url == address(server, scripted_run, runs, step=3)
    page.press("k")
    page.press("k")
    page.says(".detail h2", "Step 1")
    page.browser.back()
    page.says(".detail h2", "Step 2")
    page.open(address(server, scripted_run, runs, step=0))
    page.says(".detail .markdown", "Greenhouse-gas forecasting")
    assert page.all(".detail .markdown table")


def test_failures_calls_and_messages_are_shown(page: Page, server: ViewerServer, runs: Path, chat_run: Path) -> None:
    page.open(address(server, chat_run, runs, step=1))
    page.says(".detail .callout", "The action was refused.")
    page.open(address(server, chat_run, runs, step=2))
    page.says(".detail .callout pre", "Traceback")
    page.says("#calls", "took a step")
    page.one("[data-key=call-2]").click()
    page.says(".call .reply", "I begin with a simple model:")
    assert [item.text for item in page.all(".call .reply li")] == ["a trend", "a season"]
    assert "raise ValueError" in page.one(".call .reply .code").text
    assert "There is no such file." in page.one(".call .message.tool").text
    page.one(".call .earlier > summary").click()
    page.says(".call .earlier", "You discover algorithms.")
    page.one("[data-key=call-5]").click()
    page.says(".call.tool[open]", "BoxModel/CFC")
    assert page.one(".figures").text.count("tokens") == 1


def test_two_runs_are_chosen_and_compared(page: Page, server: ViewerServer, scripted_run: Path, chat_run: Path) -> None:
    page.open(server.url)
    page.wait(lambda: len(page.all(".runs tbody tr")) == 2)
    for _ in range(2):
        page.one("input[type=checkbox]:not(:checked)").click()
    page.one(".filters .primary").click()
    page.says("h1", "Compare")
    assert len(page.all(".chart .line.thick")) == 2
    assert {path.text for path in page.all(".compare .file .path")} <= {"data_processing.py", "model.py"}
    assert page.all(".codeline.removed")
    assert len(page.all(".compare .parts li")) == len(recorded.TASK["meta_test"])
    assert "different tasks" in page.one(".callout").text


def test_a_running_episode_grows_by_itself(page: Page, serve: Serve, task: Task, tmp_path: Path) -> None:
    setup = SetupRecord(episode_seed=1, sandbox="bubblewrap", budget_scale=3.0, max_steps=3, task_id="t")
    recorder = Recorder(tmp_path / "runs", task, setup)
    server = serve(tmp_path / "runs")

    def play(step: int, score: float) -> None:
        recorder.modules(step, {"model.py": f"step {step}\n"})
        recorder.event(scored(step, score, f"printed {step}"))

    page.open(server.url)
    page.says(".runs", "running")
    recorder.modules(0, {"model.py": "start\n"})
    recorder.event(EventRecord(event="reset", text="the task"))
    page.one(".runs .task a").click()
    page.says(".detail h2", "Task")
    play(1, 0.5)
    page.says(".detail h2", "Step 1")
    page.says(".detail", "printed 1")
    play(2, 1.5)
    page.says(".detail h2", "Step 2")
    page.says(".codeline.added", "step 2")
    assert len(page.all(".chart .line.thick .dot")) == 2
    page.all(".timeline a")[1].click()
    page.says(".detail h2", "Step 1")
    play(3, 1.25)
    page.wait(lambda: len(page.all(".timeline a")) == 4)
    assert page.one(".detail h2").text == "Step 1", "who looks at a step is not taken away from it"
    recorder.result(ResultRecord(reward=1.25))
    page.says(".figure.hero dd", "1.250")
    page.says("h1", "done")


def test_an_exported_run_opens_from_a_file(page: Page, chat_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported run.html"
    export(chat_run, out)
    page.open(out.as_uri())
    page.says(".figure.hero dd", f"{json.loads((chat_run / 'result.json').read_text())['reward']:.3f}")
    page.all(".timeline a")[3].click()
    page.says(".detail h2", "Step 3")
    assert page.all(".codeline.added")
    page.one("[data-key=call-6]").click()
    page.says(".call .reply", "It raised. I write it again.")
    page.all(".timeline a")[4].click()
    page.says(".detail h2", "Step 4")
    page.script("document.querySelector('input[value=start]').scrollIntoView({block: 'center'})")
    page.one("input[value=start]").click()
    page.wait(lambda: page.all(".codeline.added"))
    assert page.script("return performance.getEntriesByType('resource').length") == 0, "it requests nothing"


@pytest.mark.parametrize("how", ["served", "exported"])
def test_markup_in_a_run_stays_text(how: str, page: Page, serve: Serve, tmp_path: Path) -> None:
    run = recorded.hostile_run(tmp_path / "runs")
    if how == "served":
        server = serve(run.parent)
        page.open(server.url)
        page.says(".runs", recorded.MARKUP)
        addresses = [address(server, run, run.parent, step) for step in (0, 1)]
        addresses.append(f"{server.url}#/compare/{run.name}/{run.name}")
    else:
        export(run, tmp_path / "out.html")
        addresses = [f"{(tmp_path / 'out.html').as_uri()}#/run/{run.name}/step/{step}" for step in (0, 1)]
    for each in addresses:
        page.open(each)
        page.says("main", "window.executed=1")
        page.wait(lambda: page.all(".detail section, .compare section"))
        page.script("for (const each of document.querySelectorAll('details')) each.open = true")
        page.wait(lambda: not page.all("details[open] > .body:empty"))
        page.script("for (const each of document.querySelectorAll('details')) each.open = true")
        page.script("for (const each of document.querySelectorAll('g, rect')) each.dispatchEvent(new Event('focus'))")
        assert page.script("return window.executed") is None
        assert page.all("main img, main script, main iframe, main a[href^='javascript']") == []
        assert page.script("return document.documentElement.scrollWidth <= innerWidth"), (
            "long names do not burst the page"
        )


def test_the_page_refuses_markup_even_from_its_own_scripts(page: Page, server: ViewerServer) -> None:
    page.open(server.url)
    with pytest.raises(JavascriptException, match="TrustedHTML"):
        page.script("document.body.innerHTML = '<img src=x onerror=window.executed=1>'")
    with pytest.raises(JavascriptException, match="TrustedScript"):
        page.script("document.body.setAttribute('onclick', 'window.executed=1')")
    assert page.script("return window.executed") is None
    assert len(page.errors()) >= 2, "each attempt was reported"


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_wider_than_the_screen(
    width: int, page: Page, server: ViewerServer, runs: Path, scripted_run: Path, chat_run: Path
) -> None:
    page.size(width, 800)
    pair = "/".join(quote(run.relative_to(runs).as_posix(), safe="") for run in (scripted_run, chat_run))
    for each in (
        server.url,
        address(server, scripted_run, runs, 3),
        address(server, chat_run, runs, 2),
        f"{server.url}#/compare/{pair}",
    ):
        page.open(each)
        page.wait(lambda: page.all(".runs tr, .detail section, .compare section"))
        assert page.script("return document.documentElement.scrollWidth <= innerWidth"), each


def test_the_theme_can_be_changed_and_stays(page: Page, server: ViewerServer) -> None:
    page.open(server.url)
    page.one("[data-key=theme]")
    colour = "return getComputedStyle(document.body.parentElement).backgroundColor"
    before = page.script(colour)
    page.one("[data-key=theme]").click()
    changed = page.script(colour)
    assert changed != before
    page.browser.refresh()
    page.one("[data-key=theme]")
    assert page.script(colour) == changed
    page.press("t")
    assert page.script(colour) == before


def test_a_run_that_is_not_there_says_so(page: Page, server: ViewerServer) -> None:
    page.open(f"{server.url}#/run/nowhere")
    page.says("main", "there is no run 'nowhere'")
    page.one("main a").click()
    page.says("h1", "2 runs")
    assert all("404" in message or "there is no run" in message for message in page.errors())


def test_everything_can_be_reached_by_the_keyboard(page: Page, server: ViewerServer) -> None:
    page.open(server.url)
    page.wait(lambda: len(page.all(".runs tbody tr")) == 2)
    reached = set()
    for _ in range(40):
        page.press(Keys.TAB)
        reached.add(
            page.script("return document.activeElement.dataset.key || document.activeElement.className.toString()")
        )
    assert {"skip", "theme", "search", "sort-reward"} <= reached
    assert {key for key in reached if key.startswith("open-")}


def test_hundreds_of_steps_stay_quick(page: Page, serve: Serve, task: Task, tmp_path: Path) -> None:
    setup = SetupRecord(episode_seed=1, sandbox="x", budget_scale=3.0, max_steps=300)
    recorder = Recorder(tmp_path, task, setup)
    printed = "a line of output\n" * 20_000
    with (recorder.directory / "episode.jsonl").open("w") as file:
        for number in range(300):
            file.write(json.dumps(scored(number, number / 200, printed).to_json()) + "\n")
    page.open(serve(tmp_path).url + f"#/run/{recorder.directory.name}")
    page.says(".detail h2", "Step 299")
    sent = page.script(
        "return performance.getEntriesByType('resource').reduce((sum, each) => sum + each.decodedBodySize, 0)"
    )
    assert sent < 1_000_000, "outputs are fetched for the step that is looked at"
    page.one(".detail .more").click()
    assert page.script("return document.querySelectorAll('*').length") < 8000


def test_the_picture_for_the_readme(
    page: Page, server: ViewerServer, runs: Path, scripted_run: Path, tmp_path: Path
) -> None:
    """``DISCOENV_REFRESH_IMAGES=1`` replaces the one in the documentation."""
    page.size(1400, 1180)
    page.open(address(server, scripted_run, runs, step=3))
    page.wait(lambda: page.all(".codeline.added"))
    picture = tmp_path / "viewer.png"
    assert page.browser.save_screenshot(str(picture))
    assert picture.stat().st_size > 20_000
    if os.environ.get("DISCOENV_REFRESH_IMAGES"):
        shutil.copy(picture, ROOT / "docs" / "images" / "viewer.png")
