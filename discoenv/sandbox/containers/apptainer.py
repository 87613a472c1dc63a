"""The ``apptainer`` provider, for clusters without Docker: one file per image, no daemon, no root.

It needs ``apptainer``, user namespaces and an image made by ``discoenv image build FAMILY --engine apptainer``. The
folder for ``/tmp`` is one of the host's, so its size is bounded by the limit on single files only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from discoenv.errors import ImageBuildFailed, SandboxError, SandboxUnavailable
from discoenv.machine import cache
from discoenv.machine.owner import owner_tag
from discoenv.sandbox.base import Check, Command, Limits, Running, Sandbox
from discoenv.sandbox.containers import images
from discoenv.sandbox.inventory import remove_abandoned_folders
from discoenv.sandbox.local.cgroup import CgroupTree, usable_place
from discoenv.sandbox.local.running import Launch, LocalRunning, entering, telling_ready
from discoenv.sandbox.local.supervised import LiveCommands
from discoenv.sandbox.local.tree import ProcessTree, WatchedTree
from discoenv.sandbox.mounts import check_mount

_OWN_PROCESSES = 4  # the starter, its monitor and the init of the pid namespace


class ApptainerSandbox(Sandbox):
    """Runs commands through ``apptainer exec``. Not chosen by ``auto``."""

    name: ClassVar[str] = "apptainer"
    own_packages: ClassVar[bool] = True

    def __init__(self) -> None:
        self._live = LiveCommands()

    @classmethod
    def check(cls) -> Check:
        """Ask the program for its version, and look for an image of any family."""
        program = shutil.which("apptainer")
        if not program:
            fix = "install Apptainer (https://apptainer.org/docs/admin/main/installation.html) or ask your cluster"
            return Check(cls.name, False, "the program apptainer is not installed", fix)
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        if said.returncode != 0:
            return Check(cls.name, False, said.stderr.strip()[-300:], "type `apptainer --version` to see it fail")
        present = [family for family in ("core", *images.families()) if image_path(family).exists()]
        if not present:
            fix = "discoenv image build --engine apptainer"
            return Check(cls.name, False, f"{said.stdout.strip()}, but no image of learners", fix)
        return Check(cls.name, True, f"{said.stdout.strip()}, images: {', '.join(present)}")

    def start(self, command: Command, limits: Limits) -> Running:
        """Start ``command`` and return once it runs.

        Raises:
            SandboxUnavailable: there is no apptainer, or no image of the command's family; or the command names an
                interpreter.
            SandboxError: it could not be started.
        """
        images.refuse_interpreter(command)
        for mount in command.mounts:
            check_mount(mount)
        image = image_path(command.family)
        if not shutil.which("apptainer"):
            raise SandboxUnavailable(self.check().detail)
        if not image.exists():
            raise images.ImageMissing(
                f"there is no image {image}. Run: {images.build_command(command.family)} --engine apptainer"
            )
        remove_abandoned_folders()
        scratch = Path(tempfile.mkdtemp(prefix=f"discoenv-scratch-{owner_tag()}-"))
        tree, join_files = _new_tree(limits)
        try:
            launch = Launch(
                argv=[*entering(join_files, limits), *exec_argv(command, limits, image, scratch)],
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
                tree=tree,
                exit_offset=128,
                release=lambda: shutil.rmtree(scratch, ignore_errors=True),
            )
            running = LocalRunning(launch, limits)
        except BaseException:
            tree.destroy()
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        self._live.add(running)
        return running

    def close(self) -> None:
        """Kill what still runs."""
        self._live.kill_all()


def exec_argv(command: Command, limits: Limits, image: Path, scratch: Path) -> list[str]:
    """The command line that runs ``command`` in ``image``; ``scratch`` becomes the private ``/tmp``.

    Variables are set by ``env`` inside, because ``--env`` splits values at commas.
    """
    for name in ("tmp", "empty"):
        (scratch / name).mkdir(exist_ok=True)
    (scratch / "empty-file").touch()
    argv = ["apptainer", "--quiet", "exec", "--containall", "--cleanenv", "--no-home", "--no-privs", "--no-eval"]
    argv += ["--net", "--network", "none", "--hostname", "sandbox", "--pwd", command.cwd]
    argv += ["--nv"] if command.gpus else []
    binds = [(scratch / "tmp", "/tmp", "rw")]  # noqa: S108 (inside)
    binds += [(mount.source.resolve(), mount.target, "rw" if mount.writable else "ro") for mount in command.mounts]
    for hidden in images.hidden_paths(command.hidden_packages):
        binds.append((scratch / ("empty-file" if Path(hidden).suffix else "empty"), hidden, "ro"))
    for source, target, mode in binds:
        if any(letter in f"{source}{target}" for letter in ",:"):
            raise SandboxError(f"apptainer cannot mount {source} at {target}: paths must not hold commas or colons")
        argv += ["--bind", f"{source}:{target}:{mode}"]
    variables = images.environment(command.env, limits)
    pairs = [f"{name}={value}" for name, value in variables.items()]
    return [*argv, str(image), *telling_ready(), "env", "-i", *pairs, *images.argv_inside(command.argv)]


def image_path(family: str) -> Path:
    """Where the image of a family is, with today's recipe and versions; it may not exist."""
    return cache.folder("images") / f"{family or 'core'}-{images.inputs_hash(family or 'core')[:12]}.sif"


def definition(family: str, base: str, also: Sequence[str] = ()) -> str:
    """The definition file of a family's image: the same recipe as the Dockerfile's."""
    requirements = "\n".join([*images.requirements(family), *also])
    return f"""Bootstrap: docker
From: {base}

%post
    set -eu
    cat > /requirements.txt <<'END'
{requirements}
END
    python3 -m venv /opt/learner
    /opt/learner/bin/pip install --no-cache-dir --disable-pip-version-check --requirement /requirements.txt
    /opt/learner/bin/pip uninstall --yes --quiet --disable-pip-version-check pip setuptools
    cd /opt/learner; ln -s lib/python3*/site-packages packages; test -e packages/numpy/__init__.py
    mkdir -p /workspace /exam
    rm /requirements.txt
"""


def build(family: str, base: str = "", also: Sequence[str] = (), on_line: Callable[[str], None] = print) -> Path:
    """Build the image of a family and return its path.

    Raises:
        SandboxUnavailable: there is no apptainer.
        ImageBuildFailed: the build failed.
    """
    program = shutil.which("apptainer")
    if not program:
        raise SandboxUnavailable("the program apptainer is not installed")
    path = image_path(family)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        recipe, image = Path(folder, "image.def"), Path(folder, "image.sif")
        recipe.write_text(definition(family, base or images.default_base(), also))
        on_line(f"apptainer build {path}")
        done = subprocess.run([program, "build", str(image), str(recipe)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ImageBuildFailed(f"building {path.name} failed: {(done.stderr or done.stdout)[-2000:]}")
        image.replace(path)
    return path


def _new_tree(limits: Limits) -> tuple[ProcessTree, list[Path]]:
    limits = replace(limits, processes=limits.processes + _OWN_PROCESSES)
    place = usable_place()
    if place:
        tree = CgroupTree(place, limits)
        return tree, tree.join_files
    return WatchedTree(limits), []
