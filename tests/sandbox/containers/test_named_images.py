"""Packs in an image of their own: what it holds is what learners find, and what it lacks is named."""

from __future__ import annotations

import contextlib
import io
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import EpisodeRecord
from discoenv.errors import SandboxUnavailable
from discoenv.sandbox import Limits
from discoenv.sandbox.containers import images
from discoenv.sandbox.containers.docker import DockerSandbox
from discoenv.sandbox.containers.engine import Engine
from discoenv.tasks.registry import get_domain, load_pack
from tests.conftest import each_exam
from tests.discogen.conftest import MAIN, MakePack, folder, make_pack  # noqa: F401 - fixtures
from tests.sandbox.providers import python

pytestmark = pytest.mark.docker
TASK = {
    "domain": "guessing/Guess",
    "train_task_id": ["A"],
    "test_task_id": ["B"],
    "change_guess": True,
    "use_base": True,
}
MakeImage = Callable[..., str]


@pytest.fixture
def make_image(engine: Engine) -> Iterator[MakeImage]:
    """Builds an image from lines after ``FROM`` and files, and returns its name; it is removed again."""
    made: list[str] = []

    def make(lines: str, *, base: str = "", **files: str) -> str:
        base = base or images.listed(engine.client)[0].tag
        name = f"discoenv-test-{len(made)}:1.0"
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            for path, text in {**files, "Dockerfile": f"FROM {base}\n{lines}"}.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(text), 0o644
                archive.addfile(entry, io.BytesIO(text.encode()))
        context.seek(0)
        for message in engine.client.build(fileobj=context, custom_context=True, tag=name, rm=True, decode=True):
            assert "error" not in message, message
        made.append(name)
        return name

    yield make
    for name in made:
        engine.client.remove_image(name, force=True)


@pytest.fixture
def sandbox(provider: type[DockerSandbox]) -> Iterator[DockerSandbox]:
    with contextlib.closing(provider()) as sandbox:
        yield sandbox


def test_learners_of_a_pack_run_in_its_image(
    make_image: MakeImage,
    make_pack: MakePack,  # noqa: F811
    sandbox: DockerSandbox,
    tmp_path: Path,
) -> None:
    own = "COPY only_there.py discoenv.py /opt/learner/packages/\nENV OF_THE_AUTHOR=yes\n"
    own += 'USER root\nENTRYPOINT ["false"]\n'
    image = make_image(own, **{"only_there.py": "value = 7\n", "discoenv.py": "secret = 1\n"})
    main = (
        f"import only_there, os\nassert only_there.value == 7 and os.environ['OF_THE_AUTHOR'] == 'yes'\n{MAIN}\n"
        "try:\n    from discoenv import secret\n    print(json.dumps({'losses': {'mse': secret}}))\n"
        "except ImportError:\n    pass\n"
    )
    pack = make_pack({"templates/default/main.py": main})
    env = DiscoGenEnv(packs=f"{pack}=docker://{image}", task=TASK, sandbox=sandbox, runs_dir=tmp_path / "runs")
    with contextlib.closing(env):
        env.reset(seed=0)
        info = env.step("submit")[4]
    assert each_exam(info["meta_test"]["B"], "metrics")[0] == {"losses.mse": 9.0}
    assert EpisodeRecord.load(info["run_directory"]).setup.packs == (f"{pack / 'domains'}=docker://{image}",)


def test_an_image_that_the_engine_lacks_is_named(make_pack: MakePack, sandbox: DockerSandbox) -> None:  # noqa: F811
    load_pack(make_pack(), image="no-such/image:3")
    assert get_domain("guessing/Guess").image == "no-such/image:3"
    env = DiscoGenEnv(task=TASK, sandbox=sandbox, runs_dir=None)
    fix = rf"{sandbox.name} engine has no image no-such/image:3, .*Run: {sandbox.name} pull no-such/image:3"
    with contextlib.closing(env), pytest.raises(SandboxUnavailable, match=fix):
        env.reset(seed=0)


@pytest.mark.parametrize(
    ("base", "lines", "said"),
    [
        ("scratch", "COPY nothing /nothing\n", "/bin/sh|no such file"),
        ("", "ENV PATH=/nowhere\n", "there is no python3 on its PATH, /nowhere"),
        ("", "COPY nothing /usr/local/lib/x\nENV PATH=/proc/self\n", "there is no python3 on its PATH"),
    ],
)
def test_an_image_without_an_interpreter_is_named(
    make_image: MakeImage, sandbox: DockerSandbox, base: str, lines: str, said: str
) -> None:
    image = make_image(lines, base=base, nothing="")
    for _ in range(2):
        with pytest.raises(
            SandboxUnavailable, match=f"(?s)the image {image} has no interpreter that starts: .*({said})"
        ):
            sandbox.require_image(image)
    with pytest.raises(SandboxUnavailable, match="has no interpreter that starts"):
        sandbox.start(python("print(1)", image=image), Limits())


def test_what_a_command_must_not_see_is_hidden_in_it(make_image: MakeImage, sandbox: DockerSandbox) -> None:
    files = {"secret.py": "value = 1\n", "discoenv.py": "value = 2\n"}
    image = make_image("COPY secret.py discoenv.py /opt/learner/packages/\n", **files)
    look = """
        import importlib
        for name in ("numpy", "secret", "discoenv"):
            try:
                print(name, hasattr(importlib.import_module(name), "value"))
            except ImportError:
                print(name, None)
    """
    outcome = sandbox.run(python(textwrap.dedent(look), image=image, hidden_packages=("secret.py",)), Limits())
    assert outcome.stdout.split("\n")[:1] == ["numpy False"], outcome.stderr
    assert "True" not in outcome.stdout
