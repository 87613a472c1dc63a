"""Control groups: found in either version, set, read and removed; the reaper takes only what is abandoned."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from discoenv.machine.owner import is_abandoned, owner_tag
from discoenv.sandbox import Limits
from discoenv.sandbox.local.cgroup import CgroupPlace, CgroupTree, Meter, find_place, reap, usable_place


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def fake_proc(directory: Path, mounts: str, membership: str) -> Path:
    write(directory / "proc/mountinfo", mounts)
    write(directory / "proc/cgroup", membership)
    return directory / "proc"


def fake_v2(root: Path, scope: str, distributing: tuple[str, ...]) -> Path:
    """A unified hierarchy with our process in ``scope``; ``distributing`` groups hand out the controllers."""
    mount = root / "cgroup"
    write(mount / scope / "cgroup.procs", "")
    for group in distributing:
        write(mount / group / "cgroup.subtree_control", "cpu memory pids\n")
    return fake_proc(root, f"30 24 0:26 / {mount} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", f"0::/{scope}\n")


def test_version_2_uses_the_nearest_delegated_ancestor(tmp_path: Path) -> None:
    proc = fake_v2(tmp_path, "user.slice/app.slice/me.scope", ("user.slice", "user.slice/app.slice"))
    place = find_place(proc)
    assert place
    assert place.version == 2
    assert set(place.parents.values()) == {tmp_path / "cgroup/user.slice/app.slice"}


def test_version_2_without_delegation_offers_no_place(tmp_path: Path) -> None:
    assert find_place(fake_v2(tmp_path, "user.slice/session.scope", ())) is None


def test_version_2_inside_a_container_sees_its_part(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    write(mount / "cgroup.procs", "")
    write(mount / "cgroup.subtree_control", "memory pids")
    proc = fake_proc(tmp_path, f"30 24 0:26 /docker/ab {mount} rw - cgroup2 cgroup rw\n", "0::/docker/ab\n")
    place = find_place(proc)
    assert place
    assert place.parents["memory"] == mount


def test_version_1_makes_groups_below_our_own(tmp_path: Path) -> None:
    lines = []
    for number, name in enumerate(("memory", "pids", "cpu,cpuacct")):
        mount = tmp_path / name
        write(mount / "job/7" / "cgroup.procs", "")
        lines.append(f"{number} 1 0:{number} / {mount} rw - cgroup cgroup rw,{name}\n")
    proc = fake_proc(tmp_path, "".join(lines), "3:memory:/job/7\n2:pids:/job/7\n1:cpu,cpuacct:/job/7\n0::/\n")
    place = find_place(proc)
    assert place
    assert place.version == 1
    assert place.parents["memory"] == tmp_path / "memory/job/7"
    assert place.parents["cpuacct"] == tmp_path / "cpu,cpuacct/job/7"


def test_a_machine_without_cgroups_offers_no_place(tmp_path: Path) -> None:
    assert find_place(fake_proc(tmp_path, "1 1 0:1 / / rw - ext4 /dev/vda rw\n", "")) is None
    assert find_place(tmp_path / "absent") is None


def test_version_2_limits_and_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the control files that the kernel would make."""
    mkdir = Path.mkdir

    def mkdir_with_control_files(self: Path, mode: int = 0o777) -> None:
        mkdir(self, mode)
        for name in ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max", "cgroup.kill"):
            (self / name).touch()
        (self / "cgroup.procs").touch()
        (self / "memory.stat").write_text("anon 300\nshmem 20\nactive_file 7000\ninactive_file 600\n")
        (self / "memory.peak").write_text("8000\n")
        (self / "memory.events").write_text("oom 0\noom_kill 0\n")
        (self / "cpu.stat").write_text("usage_usec 1500000\n")
        (self / "pids.events").write_text("max 3\n")

    monkeypatch.setattr(Path, "mkdir", mkdir_with_control_files)
    place = CgroupPlace(2, dict.fromkeys(("memory", "pids", "cpu", "cpuacct"), tmp_path))
    tree = CgroupTree(place, Limits(memory_bytes=1 << 20, processes=10, cpus=3))
    group = tree.join_files[0].parent
    assert len(tree.join_files) == 1
    assert (group / "memory.max").read_text() == str(1 << 20)
    assert (group / "pids.max").read_text() == "10"
    assert (group / "cpu.max").read_text() == "300000 100000"

    assert tree.sample() is None
    assert tree.cpu_s == 1.5
    assert tree.peak_memory_bytes == 400

    (group / "pids.events").write_text("max 11\n")
    assert tree.sample() == "processes"
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")
    assert tree.sample() == "memory"


def test_version_2_memory_that_ran_out_elsewhere_is_not_the_command_s(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("oom 0\noom_kill 1\n")
    assert Meter(2, dict.fromkeys(("memory", "pids", "cpu", "cpuacct"), tmp_path), 10).sample() == "machine_memory"


@pytest.mark.parametrize(
    ("peak", "in_files", "reason"),
    [(1000, 0, "memory"), (960, 30, "memory"), (400, 0, "machine_memory"), (1000, 600, "machine_memory")],
)
def test_version_1_memory_is_the_command_s_if_it_had_nearly_met_its_own_limit(
    tmp_path: Path, peak: int, in_files: int, reason: str
) -> None:
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    (tmp_path / "memory.limit_in_bytes").write_text("1000\n")
    (tmp_path / "memory.max_usage_in_bytes").write_text(f"{peak}\n")
    (tmp_path / "memory.stat").write_text(f"total_rss 5\ntotal_active_file {in_files}\n")
    assert Meter(1, {"memory": tmp_path, "pids": tmp_path}, 10).sample() == reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes groups around groups")
def test_memory_that_a_group_around_the_command_s_lacks_is_not_the_command_s() -> None:
    """The kernel kills a command at the limit of a group around its own."""
    place = usable_place()
    if not place:
        pytest.skip("no cgroup can be made here")
    around = place.parents["memory"] / f"discoenv-{owner_tag()}-around"
    around.mkdir()
    tree = None
    try:
        if place.version == 2:
            (around / "cgroup.subtree_control").write_text("+memory +pids")
        (around / ("memory.max" if place.version == 2 else "memory.limit_in_bytes")).write_text(str(64 << 20))
        inside = dict.fromkeys(place.parents, around) if place.version == 2 else {**place.parents, "memory": around}
        tree = CgroupTree(CgroupPlace(place.version, inside), Limits(memory_bytes=1 << 30))
        joins = "; ".join(f"echo 0 > {file}" for file in tree.join_files)
        hog = f"{sys.executable} -c 'kept = []\nwhile True: kept.append(bytearray(b\"x\" * (1 << 20)))'"
        done = subprocess.run(["/bin/sh", "-c", f"{joins}; exec {hog}"], check=False)
        assert done.returncode == -9
        assert tree.sample() == "machine_memory"
    finally:
        if tree:
            tree.destroy()
        around.rmdir()


def test_a_real_group_is_made_and_removed() -> None:
    place = usable_place()
    if not place:
        pytest.skip("no cgroup can be made here")
    tree = CgroupTree(place, Limits())
    joins = "; ".join(f"echo 0 > {file}" for file in tree.join_files)
    with subprocess.Popen(["/bin/sh", "-c", f"{joins}; echo in; sleep 600"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        tree.destroy()
        assert process.wait() == -9
    assert not [file for file in tree.join_files if file.parent.exists()]
    tree.destroy()


def test_only_groups_of_dead_owners_are_reaped(tmp_path: Path) -> None:
    namespace, pid, start = owner_tag().split("-")
    abandoned = [f"discoenv-{namespace}-{pid}-{int(start) + 1}-0", f"discoenv-{namespace}-99999999-1-0"]
    kept = [f"discoenv-{owner_tag()}-0", "discoenv-1-99999999-1-0", "discoenv-mine", "other"]
    for name in abandoned + kept:
        (tmp_path / "here" / name).mkdir(parents=True)
    reap(CgroupPlace(2, {"memory": tmp_path / "here", "pids": tmp_path / "here"}))
    assert {path.name for path in (tmp_path / "here").iterdir()} == set(kept)


def test_names_tell_the_owner() -> None:
    assert not is_abandoned(f"discoenv-scratch-{owner_tag()}-x7f_-a")
    namespace = owner_tag().split("-")[0]
    assert is_abandoned(f"discoenv-scratch-{namespace}-99999999-1-x7f")


def test_a_process_that_cannot_look_takes_no_process_for_dead() -> None:
    name = f"discoenv-{owner_tag()}-0"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        with pytest.raises(OSError, match="Too many open files"):
            Path("/proc/self/stat").read_text()
        judged = is_abandoned(name)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not judged
