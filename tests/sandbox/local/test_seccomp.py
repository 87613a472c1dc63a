"""The system-call filter, judged by what the kernel does with it."""

from __future__ import annotations

import errno
import json
import platform
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.sandbox import Outcome
from discoenv.sandbox.local.seccomp import (
    _ABSENT,
    _FILE_LOCKS,
    _PAGE_CACHE,
    _REFUSED,
    _REFUSED_X86,
    _UNMAPPED_MEMORY,
    ARCHITECTURES,
    learner_filter,
)

Run = Callable[..., Outcome]
NEW_USER, NEW_NET = 0x10000000, 0x40000000


def call_inside(run: Run, calls: list[tuple[int, ...]]) -> list[int]:
    """The errno of each raw system call made inside, 0 for success."""
    outcome = run(f"""
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
def call(numbers):
    ctypes.set_errno(0)
    libc.syscall(*(ctypes.c_ulong(number) for number in numbers))
    return ctypes.get_errno()
print(json.dumps([call(numbers) for numbers in {calls!r}]))
""")
    assert outcome.exit_code == 0, outcome
    result: list[int] = json.loads(outcome.stdout)
    return result


@pytest.fixture
def numbers() -> dict[str, int]:
    return ARCHITECTURES[platform.machine()].numbers


def test_refused_calls_are_refused(run: Run, numbers: dict[str, int]) -> None:
    names = _REFUSED + (_REFUSED_X86 if platform.machine() == "x86_64" else [])
    results = call_inside(run, [(numbers[name], 0, 0, 0, 0, 0) for name in names])
    assert dict(zip(names, results, strict=True)) == dict.fromkeys(names, errno.EPERM)


def test_absent_calls_look_absent(run: Run, numbers: dict[str, int]) -> None:
    results = call_inside(run, [(numbers[name], 0, 0, 0) for name in _ABSENT])
    assert results == [errno.ENOSYS] * len(_ABSENT)


def test_the_page_cache_and_locks_of_files_cannot_be_seen(run: Run, numbers: dict[str, int]) -> None:
    names = [name for name in _PAGE_CACHE if name in numbers]
    results = call_inside(run, [(numbers[name], 0, 0, 0) for name in names])
    assert results == [errno.ENOSYS] * len(names)
    locks = [(numbers["flock"], 0, 1), *((numbers["fcntl"], 0, command, 0) for command in _FILE_LOCKS)]
    assert call_inside(run, locks) == [errno.ENOLCK] * len(locks)
    assert call_inside(run, [(numbers["fcntl"], 0, 1)]) == [0]  # F_GETFD


def test_no_new_namespace_can_be_made(run: Run, numbers: dict[str, int]) -> None:
    flags = (NEW_USER, NEW_NET, NEW_USER | 17)
    assert call_inside(run, [(numbers["clone"], flag, 0, 0, 0, 0) for flag in flags]) == [errno.EPERM] * 3


def test_only_harmless_socket_families_exist(run: Run, numbers: dict[str, int]) -> None:
    families = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "alg": 38, "vsock": 40, "xdp": 44}
    results = call_inside(run, [(numbers["socket"], family, 1, 0) for family in families.values()])
    allowed = {name for name, result in zip(families, results, strict=True) if result != errno.EAFNOSUPPORT}
    assert allowed <= {"unix", "inet", "inet6"}
    assert "unix" in allowed


def test_nothing_can_be_typed_into_a_terminal(run: Run, numbers: dict[str, int]) -> None:
    assert call_inside(run, [(numbers["ioctl"], 0, request, 0) for request in (0x5412, 0x541C)]) == [errno.EPERM] * 2


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 exists on x86_64 only")
def test_x32_calls_look_absent(run: Run) -> None:
    assert call_inside(run, [(0x40000000 + 39,), (0x40000000 + 516, 0)]) == [errno.ENOSYS] * 2


@pytest.mark.parametrize("machine", list(ARCHITECTURES))
@pytest.mark.parametrize("unmapped_memory", [True, False])
def test_programs_are_well_formed(machine: str, unmapped_memory: bool) -> None:
    """Every jump lands inside, the last instruction returns: what the kernel's verifier asks for."""
    program = list(struct.iter_unpack("<HBBI", learner_filter(machine, unmapped_memory=unmapped_memory)))
    assert len(program) < 4096
    assert program[-1][0] == 0x06
    for position, (code, jump_true, jump_false, _) in enumerate(program):
        if code & 0x07 == 0x05:
            assert position + 1 + max(jump_true, jump_false) < len(program)


@pytest.mark.parametrize("machine", list(ARCHITECTURES))
def test_every_table_knows_every_refused_call(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    wanted = {*_REFUSED, *_ABSENT, *_UNMAPPED_MEMORY, "clone", "socket", "socketpair", "ioctl"}
    assert wanted <= architecture.numbers.keys()
    numbers = list(architecture.numbers.values())
    assert len(set(numbers)) == len(numbers)


def test_the_numbers_agree_with_the_kernel_headers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip(f"{header} is not installed: apt-get install linux-libc-dev")
    lines = [line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_")]
    known = {name.removeprefix("__NR_"): int(number) for _, name, number in lines}
    table = ARCHITECTURES["x86_64"].numbers
    assert {name: number for name, number in table.items() if known.get(name, number) != number} == {}
