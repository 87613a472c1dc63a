"""Images of learners and the engines that hold them, without an engine: what is asked of it and what is said."""

from __future__ import annotations

import importlib.metadata
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from discoenv.errors import ImageBuildFailed, SandboxError, SandboxUnavailable
from discoenv.sandbox.containers import images
from discoenv.sandbox.containers.docker import DockerSandbox, PodmanSandbox
from discoenv.sandbox.containers.engine import find_url


class FakeClient:
    """Remembers what was to be built; lists what it was given."""

    def __init__(self, *listed: dict[str, Any], says: tuple[dict[str, str], ...] = ({"stream": "done"},)) -> None:
        self._listed = listed
        self._says = says
        self.request: dict[str, Any] = {}
        self.context: dict[str, bytes] = {}

    def images(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        assert filters == {"label": "discoenv.family"}
        return list(self._listed)

    def build(self, *, fileobj: Any, **request: Any) -> Any:
        self.request = request
        with tarfile.open(fileobj=io.BytesIO(fileobj.read())) as archive:
            for member in archive:
                file = archive.extractfile(member)
                assert file
                self.context[member.name] = file.read()
        yield from self._says


def image(family: str, *, current: bool = True, created: int = 0, identity: str = "sha256:1") -> dict[str, Any]:
    inputs = images.inputs_hash(family) if current else "of long ago"
    labels = {"discoenv.family": family, "discoenv.inputs": inputs, "discoenv.base": "base"}
    return {"Id": identity, "RepoTags": [f"discoenv/{family}:x"], "Labels": labels, "Created": created, "Size": 1 << 20}


def test_every_extra_of_a_domain_is_a_family() -> None:
    from discoenv.tasks.registry import get_domain, get_domains

    assert {get_domain(name).specification.extra for name in get_domains()} <= set(images.families())


def test_an_image_holds_the_versions_that_are_installed_here_and_not_discoenv() -> None:
    found = images.requirements("sklearn")
    for name in ("numpy", "scikit-learn", "statsmodels", "scipy", "joblib", "pyyaml"):
        assert f"{name}=={importlib.metadata.version(name)}" in found
    assert not [each for each in found if "discoenv" in each]
    assert len(images.requirements("core")) == 2


def test_an_unknown_family_is_said_to_be_one() -> None:
    with pytest.raises(SandboxError, match=r"sklaern.*choose from core"):
        images.requirements("sklaern")


def test_the_newest_current_image_is_found() -> None:
    old, new = image("sklearn", created=1, identity="sha256:old"), image("sklearn", created=2, identity="sha256:new")
    stale = image("sklearn", created=3, current=False)
    assert images.find(FakeClient(old, stale, new), "sklearn").id == "sha256:new"


@pytest.mark.parametrize(
    ("listed", "said"), [((), "there is no image"), ((image("jax", current=False),), "other versions")]
)
def test_a_missing_image_names_the_command(listed: tuple[dict[str, Any], ...], said: str) -> None:
    with pytest.raises(images.ImageMissing, match=f"{said}.*Run: discoenv image build jax"):
        images.find(FakeClient(*listed), "jax")


def test_a_command_of_no_family_gets_any_image() -> None:
    assert images.find(FakeClient(image("sklearn")), "").family == "sklearn"


def test_the_build_is_given_wheels_and_certificates(tmp_path: Path) -> None:
    (tmp_path / "certificates").write_text("CERTIFICATE")
    (tmp_path / "thing-1-py3-none-any.whl").write_bytes(b"wheel")
    client, said = FakeClient(), list[str]()
    tag = images.build(
        client,
        "sklearn",
        base="mine:1",
        wheelhouse=tmp_path,
        ca_bundle=tmp_path / "certificates",
        network="host",
        also=["thing"],
        on_line=said.append,
    )
    assert client.context["ca-bundle.pem"] == b"CERTIFICATE"
    assert client.context["wheelhouse/thing-1-py3-none-any.whl"] == b"wheel"
    assert client.context["requirements.txt"].decode().splitlines()[-1] == "thing"
    assert client.request["buildargs"] == {"BASE": "mine:1"}
    assert client.request["network_mode"] == "host"
    assert client.request["labels"]["discoenv.inputs"] == images.inputs_hash("sklearn")
    assert tag == client.request["tag"]
    assert said == ["done"]
    assert images.build(FakeClient(), "sklearn", base="other:1", also=["thing"]) != tag


def test_a_failed_build_says_what_it_said() -> None:
    client = FakeClient(says=({"stream": "ERROR: no such package\n"}, {"error": "pip returned 1"}))
    with pytest.raises(ImageBuildFailed, match=r"pip returned 1\nERROR: no such package"):
        images.build(client, "core")


def test_a_remote_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("tcp://10.0.0.1:2375", "ssh://me@there"):
        monkeypatch.setenv("DOCKER_HOST", url)
        with pytest.raises(SandboxUnavailable, match=r"another machine.*run discoenv on that machine"):
            find_url("docker")
        assert not DockerSandbox.check().works


def test_sockets_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket

    monkeypatch.delenv("CONTAINER_HOST", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "podman").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "podman/podman.sock"))
        assert find_url("podman") == f"unix://{tmp_path}/podman/podman.sock"


@pytest.mark.parametrize("provider", [DockerSandbox, PodmanSandbox])
def test_an_absent_engine_is_explained(
    provider: type[DockerSandbox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.setenv(name, f"unix://{tmp_path}/nothing.sock")
    check = provider.check()
    assert not check.works
    assert str(tmp_path) in check.detail
    assert check.fix


def test_hidden_packages_include_their_compiled_forms() -> None:
    assert images.hidden_paths(("a/b",)) == ["/opt/learner/packages/a/b"]
    assert "/opt/learner/packages/a/__pycache__/b.cpython-311.pyc" in images.hidden_paths(("a/b.py",))
