"""The system-call filter of a learner, as a classic BPF program that ``bwrap --seccomp`` loads.

Everything is allowed but what a numerical program never needs and an escape often does. Sources: seccomp(2),
``linux/seccomp.h``, ``linux/filter.h`` and the kernel's system-call tables for x86_64 and aarch64.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

# struct seccomp_data: nr (4 bytes), arch (4), instruction pointer (8), six arguments of 8 bytes, little endian.
_NR, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24

# Instruction codes of linux/bpf_common.h.
_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_X32_BIT = 0x40000000

# CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000

#: Address families of socket(2) that are let through: Unix, IPv4, IPv6 (both dead ends in an empty network
#: namespace, but libraries probe them).
_FAMILIES = (1, 2, 10)

#: Requests of ioctl(2) that type into a terminal: TIOCSTI and TIOCLINUX.
_TERMINAL_INJECTION = (0x5412, 0x541C)

#: Refused with EPERM on every architecture.
_REFUSED = """
    mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr open_tree_attr
    unshare setns ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise bpf perf_event_open
    userfaultfd add_key request_key keyctl kexec_load kexec_file_load init_module finit_module delete_module
    name_to_handle_at open_by_handle_at quotactl quotactl_fd swapon swapoff reboot acct syslog sethostname
    setdomainname settimeofday clock_settime adjtimex clock_adjtime vhangup personality fanotify_init mbind
    set_mempolicy migrate_pages move_pages lookup_dcookie nfsservctl sched_setaffinity
""".split()  # noqa: SIM905 (a table to be read)

#: Refused only where the table below knows them: x86 relics.
_REFUSED_X86 = "modify_ldt iopl ioperm uselib ustat sysfs _sysctl create_module get_kernel_syms query_module".split()  # noqa: SIM905

#: Refused with ENOSYS, because libraries fall back to something older when the kernel lacks these.
_ABSENT = ["clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_secret"]

#: Refused with ENOSYS as well: they show, or change, which files of the host are in memory and which are being opened.
#: Exams beside each other, or one after another, could talk by that.
_PAGE_CACHE = """
    fadvise64 readahead mincore cachestat preadv2 pwritev2 inotify_init inotify_init1 inotify_add_watch
""".split()  # noqa: SIM905 (a table to be read)

#: Requests of fcntl(2) that lock files of the host or watch them. They and flock(2) are refused with ENOLCK, for the
#: same reason: F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_GETLEASE, F_NOTIFY.
_FILE_LOCKS = (5, 6, 7, 36, 37, 38, 1024, 1025, 1026)

#: Memory that belongs to no process while none maps it. Also absent where no cgroup counts it.
_UNMAPPED_MEMORY = ["memfd_create", "shmget"]

# The same number on every architecture since Linux 5.1.
_COMMON = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "cachestat": 451,
    "open_tree_attr": 467,
}  # fmt: skip

_X86_64 = _COMMON | {
    "mincore": 27, "readahead": 187, "fadvise64": 221, "inotify_init": 253, "inotify_add_watch": 254,
    "inotify_init1": 294, "preadv2": 327, "pwritev2": 328,
    "fcntl": 72, "flock": 73,
    "ioctl": 16, "shmget": 29, "socket": 41, "socketpair": 53, "clone": 56, "ptrace": 101, "syslog": 103,
    "uselib": 134, "personality": 135, "ustat": 136, "sysfs": 139, "vhangup": 153, "modify_ldt": 154,
    "pivot_root": 155, "_sysctl": 156, "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164,
    "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
    "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175,
    "delete_module": 176, "get_kernel_syms": 177, "query_module": 178, "quotactl": 179, "nfsservctl": 180,
    "sched_setaffinity": 203, "lookup_dcookie": 212, "clock_settime": 227, "mbind": 237, "set_mempolicy": 238,
    "kexec_load": 246,
    "add_key": 248, "request_key": 249, "keyctl": 250, "migrate_pages": 256, "unshare": 272, "move_pages": 279,
    "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "memfd_create": 319, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
}  # fmt: skip

_AARCH64 = _COMMON | {
    "inotify_init1": 26, "inotify_add_watch": 27, "readahead": 213, "fadvise64": 223, "mincore": 232, "preadv2": 286,
    "pwritev2": 287,
    "fcntl": 25, "flock": 32,
    "lookup_dcookie": 18, "ioctl": 29, "umount2": 39, "mount": 40, "pivot_root": 41, "nfsservctl": 42,
    "chroot": 51, "vhangup": 58, "quotactl": 60, "acct": 89, "personality": 92, "unshare": 97, "kexec_load": 104,
    "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117,
    "sched_setaffinity": 122, "reboot": 142,
    "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "adjtimex": 171, "shmget": 194, "socket": 198,
    "socketpair": 199, "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220, "swapon": 224,
    "swapoff": 225, "mbind": 235, "set_mempolicy": 237, "migrate_pages": 238, "move_pages": 239,
    "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264, "open_by_handle_at": 265,
    "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
    "finit_module": 273, "memfd_create": 279, "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294,
}  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """A machine's AUDIT_ARCH number, its system-call numbers, and whether it has the x32 calls to be refused."""

    audit: int
    numbers: dict[str, int]
    x32: bool = False


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, _X86_64, x32=True),
    "aarch64": Architecture(0xC00000B7, _AARCH64),
}


def learner_filter(machine: str | None = None, *, unmapped_memory: bool = True) -> bytes:
    """The filter program for ``machine`` (default: this one), as an array of ``struct sock_filter``.

    Args:
        machine: as ``platform.machine()`` names it.
        unmapped_memory: allow memory that only a cgroup can count (``memfd_create``, System V segments).

    Raises:
        KeyError: there is no table for this machine.
    """
    architecture = ARCHITECTURES[machine or platform.machine()]
    program = _program(architecture, unmapped_memory)
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _program(architecture: Architecture, unmapped_memory: bool) -> Iterator[tuple[int, int, int, int]]:
    """Instructions ``(code, jump if true, jump if false, operand)``; jumps count instructions to skip."""
    numbers = architecture.numbers
    absent = _ABSENT + ([] if unmapped_memory else _UNMAPPED_MEMORY)
    absent += [name for name in _PAGE_CACHE if name in numbers]  # aarch64 has no inotify_init

    # A foreign ABI (32-bit calls on a 64-bit kernel, x32) has other numbers: refuse all of it.
    yield _LOAD, 0, 0, _ARCH
    yield _JUMP_EQ, 1, 0, architecture.audit
    yield _refuse(errno.ENOSYS)
    yield _LOAD, 0, 0, _NR
    if architecture.x32:
        yield _JUMP_GE, 0, 1, _X32_BIT
        yield _refuse(errno.ENOSYS)

    for name in absent:
        yield _JUMP_EQ, 0, 1, numbers[name]
        yield _refuse(errno.ENOSYS)
    for name in _REFUSED + (_REFUSED_X86 if architecture.x32 else []):
        yield _JUMP_EQ, 0, 1, numbers[name]
        yield _refuse(errno.EPERM)

    yield _JUMP_EQ, 0, 1, numbers["flock"]
    yield _refuse(errno.ENOLCK)
    yield _JUMP_EQ, 0, 2 * len(_FILE_LOCKS) + 2, numbers["fcntl"]
    yield _LOAD, 0, 0, _ARG1
    for command in _FILE_LOCKS:
        yield _JUMP_EQ, 0, 1, command
        yield _refuse(errno.ENOLCK)
    yield _RETURN, 0, 0, _ALLOW

    yield _JUMP_EQ, 0, 4, numbers["clone"]
    yield _LOAD, 0, 0, _ARG0
    yield _JUMP_SET, 0, 1, _NEW_NAMESPACES
    yield _refuse(errno.EPERM)
    yield _RETURN, 0, 0, _ALLOW

    for name in ("socket", "socketpair"):
        yield _JUMP_EQ, 0, 2 * len(_FAMILIES) + 2, numbers[name]
        yield _LOAD, 0, 0, _ARG0
        for family in _FAMILIES:
            yield _JUMP_EQ, 0, 1, family
            yield _RETURN, 0, 0, _ALLOW
        yield _refuse(errno.EAFNOSUPPORT)

    yield _JUMP_EQ, 0, 2 * len(_TERMINAL_INJECTION) + 1, numbers["ioctl"]
    yield _LOAD, 0, 0, _ARG1
    for request in _TERMINAL_INJECTION:
        yield _JUMP_EQ, 0, 1, request
        yield _refuse(errno.EPERM)
    yield _RETURN, 0, 0, _ALLOW


def _refuse(number: int) -> tuple[int, int, int, int]:
    return _RETURN, 0, 0, _ERRNO | number
