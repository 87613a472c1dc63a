"""Images of learners: one per family of domains, holding the family's packages and nothing of discoenv.

An image is known by its labels. ``inputs`` is a hash of the recipe and of the exact versions of the packages, which are
those installed here, so that a learner computes the same in an image as in a sandbox that shows the host's packages.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from discoenv.errors import ImageBuildFailed, SandboxError, SandboxUnavailable
from discoenv.machine import packages
from discoenv.sandbox.base import Command, Limits
from discoenv.sandbox.environment import minimal_environment

REPOSITORY = "discoenv"
LABEL = "discoenv."
#: Where the packages are in an image, whatever the version of its Python.
SITE_PACKAGES = "/opt/learner/packages"
PYTHON = "/opt/learner/bin/python"

_PYTHON_MINORS = range(11, 20)
_CORE = ("numpy", "pyyaml")
_OWN_EXTRAS = {
    *("docker", "gpu", "plots", "agents", "mcp", "bench", "all", "dev", "dask", "docs"),
    *("inspect", "harbor", "openenv", "trl", "nemo-gym"),
}


class ImageMissing(SandboxUnavailable):
    """No image of the family, or none with the present versions; the message says which command builds one."""


@dataclass(frozen=True)
class Contents:
    """What a command needs to know of the image that it runs in.

    Attributes:
        id: the image's.
        python: absolute path of its interpreter.
        packages: folders of the packages that this finds.
        hidden: packages that no command may see, relative to these.
        environment: variables that the image's author has set.
    """

    id: str
    python: str = PYTHON
    packages: tuple[str, ...] = (SITE_PACKAGES,)
    hidden: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


_OURS: Final = Contents("")


@dataclass(frozen=True)
class Image:
    """An image of learners in an engine.

    Attributes:
        family: the pip extra whose packages it holds; ``core`` for NumPy and PyYAML alone.
        current: whether its recipe and versions are those that would be built now.
    """

    id: str
    tag: str
    family: str
    base: str
    python: str
    current: bool
    created: float
    bytes: int


def families() -> list[str]:
    """The families that discoenv itself knows, from its extras; packs may have more of them."""
    extras = importlib.metadata.metadata("discoenv").get_all("Provides-Extra") or []
    return sorted(set(extras) - _OWN_EXTRAS)


def default_base() -> str:
    """The slim image of the Python that runs here: pinned versions are known to exist for it."""
    return f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"


@functools.cache
def requirements(family: str) -> tuple[str, ...]:
    """What is installed into an image, sorted: the family's packages and all that they need, in today's versions.

    Raises:
        SandboxError: discoenv has no such extra, or is not installed.
    """
    of_family: list[str] = []
    if family not in ("", "core"):
        try:
            of_family = packages.of_extra("discoenv", family)
        except importlib.metadata.PackageNotFoundError as error:
            raise SandboxError("discoenv is not installed, so its extras are not known: pip install -e .") from error
        if not of_family:
            known = ", ".join(["core", *families()])
            raise SandboxError(f"there is no family of packages named {family!r}: choose from {known}")
    return tuple(sorted(package.pin() for package in packages.closure([*_CORE, *of_family]).values()))


def inputs_hash(family: str) -> str:
    """Hash of the recipe and the packages, without the base."""
    content = "\n".join([_dockerfile(), family, *requirements(family)])
    return hashlib.sha256(content.encode()).hexdigest()


def build_command(family: str) -> str:
    """What to type to get the image of a family."""
    return f"discoenv image build {family or 'core'}"


def listed(client: Any) -> list[Image]:
    """The images of learners that an engine has, newest first. ``client``: a ``docker.APIClient``."""
    found = []
    for raw in client.images(filters={"label": f"{LABEL}family"}):
        labels = raw.get("Labels") or {}
        family = labels.get(f"{LABEL}family", "")
        try:
            current = labels.get(f"{LABEL}inputs") == inputs_hash(family)
        except SandboxError:
            current = False
        tags = [tag for tag in raw.get("RepoTags") or [] if "<none>" not in tag]
        found.append(
            (
                raw.get("Created", 0),
                Image(
                    id=raw["Id"],
                    tag=tags[0] if tags else raw["Id"].removeprefix("sha256:")[:12],
                    family=family,
                    base=labels.get(f"{LABEL}base", ""),
                    python=labels.get(f"{LABEL}python", ""),
                    current=current,
                    created=float(raw.get("Created", 0)),
                    bytes=int(raw.get("Size", 0)),
                ),
            )
        )
    return [image for _, image in sorted(found, key=lambda pair: pair[0], reverse=True)]


def find(client: Any, family: str) -> Image:
    """The newest current image of a family; a command of no family gets any.

    Raises:
        ImageMissing: there is none.
    """
    wanted = family or "core"
    found = listed(client)
    of_family = [image for image in found if image.family == wanted] or ([] if family else found)
    for image in of_family:
        if image.current:
            return image
    if of_family:
        raise ImageMissing(
            f"the image {of_family[0].tag} holds other versions of the packages than are installed here. "
            f"Run: {build_command(wanted)}"
        )
    raise ImageMissing(f"there is no image for the {wanted!r} family of domains. Run: {build_command(wanted)}")


def named(client: Any, image: str, engine: str) -> str:
    """The id of the image that an engine calls so. Nothing is pulled.

    Raises:
        SandboxUnavailable: there is none.
        SandboxError: the engine refused.
    """
    import docker.errors  # noqa: PLC0415

    try:
        return str(client.inspect_image(image)["Id"])
    except docker.errors.NotFound:
        raise SandboxUnavailable(
            f"the {engine} engine has no image {image}, which a pack of domains names. Run: {engine} pull {image}"
        ) from None
    except docker.errors.DockerException as error:
        raise SandboxError(f"the {engine} engine refused to look at the image {image}: {error}") from error


def named_environment(client: Any, id_: str) -> dict[str, str]:
    """The variables that the author of an image has set."""
    pairs = (client.inspect_image(id_).get("Config") or {}).get("Env") or []
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs) if name}


def build(
    client: Any,
    family: str,
    *,
    base: str = "",
    wheelhouse: Path | None = None,
    ca_bundle: Path | None = None,
    network: str = "",
    also: Sequence[str] = (),
    on_line: Callable[[str], None] = lambda line: None,
) -> str:
    """Build the image of a family and return its tag.

    Args:
        client: a ``docker.APIClient``.
        family: a pip extra of discoenv, or ``core``.
        base: an image with ``python3`` and ``venv``; default: the slim image of this Python's version.
        wheelhouse: a directory of wheels that pip prefers to the index.
        ca_bundle: certificates that pip trusts while building; they do not stay in the image.
        network: the build's network mode, for example ``host``; default: the engine's.
        also: further requirements, for example ``jax[cuda12]``.
        on_line: called with each line that the build prints.

    Raises:
        SandboxError: the family is unknown, a path does not exist or the build failed.
    """
    family, base = family or "core", base or default_base()
    lines = [*requirements(family), *also]
    labels = {"family": family, "base": base, "inputs": inputs_hash(family), "also": " ".join(also)}
    labels["python"] = f"{sys.version_info.major}.{sys.version_info.minor}" if base == default_base() else ""
    digest = hashlib.sha256("\n".join([*labels.values(), *lines]).encode()).hexdigest()[:12]
    tag = f"{REPOSITORY}/{family}:{digest}"
    said: list[str] = []
    with tempfile.TemporaryFile() as context:
        _write_context(context, lines, wheelhouse, ca_bundle)
        context.seek(0)
        stream = client.build(
            fileobj=context,
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            decode=True,
            buildargs={"BASE": base},
            network_mode=network or None,
            labels={f"{LABEL}{name}": value for name, value in labels.items()},
        )
        for message in stream:
            if "error" in message:
                tail = "".join(said)[-2000:]
                raise ImageBuildFailed(f"building {tag} from {base} failed: {message['error'].strip()}\n{tail}".strip())
            said.append(message.get("stream") or "")
            for line in (message.get("stream") or message.get("status") or "").splitlines():
                on_line(line)
    return tag


def _write_context(file: Any, lines: Sequence[str], wheelhouse: Path | None, ca_bundle: Path | None) -> None:
    """The build context: the recipe, the requirements, the certificates (maybe empty) and the wheels."""
    for path in (wheelhouse, ca_bundle):
        if path is not None and not path.exists():
            raise SandboxError(f"{path} does not exist")
    with tarfile.open(fileobj=file, mode="w") as archive:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))

        add("Dockerfile", _dockerfile().encode())
        add("requirements.txt", "\n".join(lines).encode() + b"\n")
        add("ca-bundle.pem", ca_bundle.read_bytes() if ca_bundle else b"")
        add("wheelhouse/empty", b"")
        for wheel in _wheels(wheelhouse):
            archive.add(wheel.resolve(), f"wheelhouse/{wheel.name}", recursive=False)


def _wheels(wheelhouse: Path | None) -> Iterator[Path]:
    yield from sorted(wheelhouse.glob("*.whl")) if wheelhouse else ()


def _dockerfile() -> str:
    return (Path(__file__).parent / "image" / "Dockerfile").read_text()


def refuse_interpreter(command: Command) -> None:
    """Raise :class:`SandboxUnavailable` if a command is to run with another interpreter than the image's."""
    if command.python is not None:
        raise SandboxUnavailable(
            f"a pack of domains names the interpreter {command.python}, which no image has: use sandbox='bubblewrap'"
        )


def argv_inside(argv: tuple[str, ...], python: str = PYTHON) -> tuple[str, ...]:
    """The same command line with the image's own Python."""
    return (python, *argv[1:]) if argv[0] == "python" else argv


def environment(chosen: Mapping[str, str], limits: Limits, contents: Contents = _OURS) -> dict[str, str]:
    """All environment variables of a command in an image."""
    minimal = minimal_environment(limits)
    variables = {**contents.environment, **minimal}
    path = contents.environment.get("PATH", minimal["PATH"])
    variables["PATH"] = f"{contents.python.rpartition('/')[0]}:{path}"
    variables |= chosen
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name + value:
            raise SandboxError(f"environment variable {name!r} has a name or value that no process can have")
    return variables


def hidden_paths(hidden: tuple[str, ...], places: Sequence[str] = (SITE_PACKAGES,)) -> list[str]:
    """Where hidden packages, and their compiled forms, would be in an image; not all of them exist."""
    return [path for place in places for path in _hidden_in(place, hidden)]


def _hidden_in(place: str, hidden: tuple[str, ...]) -> list[str]:
    paths = []
    for package in hidden:
        if not package or package.startswith("/") or ".." in package.split("/"):
            raise SandboxError(f"hidden package {package!r} must be a path relative to site-packages, without `..`")
        paths.append(f"{place}/{package}")
        if package.endswith(".py"):
            folder, _, name = f"{place}/{package}".rpartition("/")
            stem = name.removesuffix(".py")
            paths += [f"{folder}/__pycache__/{stem}.cpython-3{minor}.pyc" for minor in _PYTHON_MINORS]
    return paths
