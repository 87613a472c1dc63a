"""The program of a fork server: imports frameworks once, and forks itself into sandboxes that exist already.

Its text is executed by ``python -c ... CONTROL TEXT``, where ``CONTROL`` is a descriptor of a socket to
:mod:`discoenv.sandbox.local.forkserver` and ``TEXT`` one of this file; it must not import ``discoenv``. No untrusted
code ever runs in the server, and none can reach it: a fork enters the namespaces, the control group and the identity
of its sandbox before it becomes the learner's ``main.py``. Two forks are needed, because only a child is born into
another pid namespace: the first stays outside as the parent that learns how the second ends.
"""

import builtins
import contextlib
import ctypes
import gc
import importlib
import importlib.machinery
import json
import os
import resource
import signal
import socket
import struct
import sys
import types
from typing import Any

_MAX_MESSAGE = 1 << 20
_CAPABILITIES = 64

# linux/prctl.h, linux/seccomp.h, linux/capability.h
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 22, 24, 38, 47
_PR_SET_CHILD_SUBREAPER, _PR_CAP_AMBIENT_CLEAR_ALL = 36, 4
_SECCOMP_MODE_FILTER, _LINUX_CAPABILITY_VERSION_3 = 2, 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the C library that returns 0 unless it fails.

    Raises:
        OSError: it failed.
    """
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _prctl(option: int, first: int = 0, second: Any = 0) -> None:
    second = ctypes.c_ulong(second) if isinstance(second, int) else second
    _call("prctl", option, ctypes.c_ulong(first), second, ctypes.c_ulong(0), ctypes.c_ulong(0))


def _preload(modules: list[str], path: list[str], covered: list[str]) -> str:
    """Import ``modules`` with the learner's own ``sys.path``; why forking would be unsafe, or an empty string.

    Nothing may remain of what the sandbox covers: ``.pth`` files have revealed where discoenv is.
    """
    sys.path[:] = path
    sys.path_importer_cache.clear()

    def is_covered(module: types.ModuleType) -> bool:
        file = getattr(module, "__file__", None) or ""
        return any(file == place or file.startswith(place + "/") for place in covered)

    hidden = {name for name, module in list(sys.modules.items()) if is_covered(module)}
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "__module__", None) not in hidden]
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if getattr(hook, "__module__", None) not in hidden]
    for name in hidden:
        del sys.modules[name]
    for name in modules:
        importlib.import_module(name)
    touched = sorted(name for name, module in list(sys.modules.items()) if is_covered(module))
    if touched:
        return f"{', '.join(touched)} came with {', '.join(modules)}, and must not be visible"
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is not None and bridge.backends_are_initialized():
        return "JAX has initialised a backend on import"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "torch has initialised CUDA on import"
    if (pid := os.fork()) == 0:  # OpenBLAS ends its threads when forking, and starts them again when it needs them
        os._exit(0)
    os.waitpid(pid, 0)
    threads = len(os.listdir("/proc/self/task"))
    return f"{threads - 1} threads are left by the import of {', '.join(modules)}" if threads > 1 else ""


def _serve(control: socket.socket) -> dict[str, Any]:
    """Answer requests until the host hangs up and the last learner is gone. Returns, with the request, in a learner."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MAX_MESSAGE, 4)
        if not message:
            with contextlib.suppress(ChildProcessError):
                os.wait()
            os._exit(0)
        request: dict[str, Any] = json.loads(message)
        told, tell = os.pipe()
        outside = os.fork()
        if outside == 0:
            os.close(told)
            control.close()
            _enter(request, descriptors, tell)
            return request
        for descriptor in (*descriptors, tell):
            os.close(descriptor)
        with open(told, "rb") as answer:
            said = answer.read().decode(errors="replace")
        control.sendall(json.dumps({"pid": outside, "error": "" if said == "ready" else said or "it died"}).encode())


def _enter(request: dict[str, Any], descriptors: list[int], tell: int) -> None:
    """Fork into the sandbox; the process outside stays until the learner has ended. Returns in the learner."""
    namespaces, stdout, stderr, status = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        os.setsid()
        for file in request["join"]:
            with open(file, "w") as group:
                group.write("0")
        os.sched_setaffinity(0, request["cores"])
        _call("setns", namespaces, request["namespaces"])
        if [os.stat("/").st_dev, os.stat("/").st_ino] != request["root"]:
            raise OSError("the root directory is not that of the sandbox")
        learner = os.fork()
    except BaseException as error:
        os.write(tell, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    if learner:
        os.closerange(0, status)
        os.closerange(status + 1, 1 << 20)
        ended = os.waitpid(learner, 0)[1]
        code = os.waitstatus_to_exitcode(ended)
        with contextlib.suppress(OSError):
            os.write(status, b"%d\n" % (128 - code if code < 0 else code))
        os._exit(0)
    try:
        os.setsid()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.set_inheritable(0, True)
        tell = os.dup2(tell, 3, inheritable=False)
        os.closerange(4, 1 << 20)
        os.chdir(request["cwd"])
        _limit(request)
        _drop_privileges(request["user"])
        program = bytes.fromhex(request["filter"])
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.pointer(_Filter(len(program) // 8, program)))
        os.write(tell, b"ready")
    except BaseException as error:
        os.write(tell, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os.close(tell)


def _limit(request: dict[str, Any]) -> None:
    """The resource limits that a shell would have set."""
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: request["open_files"],
        resource.RLIMIT_FSIZE: request["file_bytes"],
    }
    if request["processes"]:
        wanted[resource.RLIMIT_NPROC] = request["processes"]
    for which, value in wanted.items():
        most = resource.getrlimit(which)[1]
        least = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(which, (least, least))


def _drop_privileges(user: int | None) -> None:
    """Become ``user`` (None: stay who we are) without capabilities, and without a way to gain any."""
    for capability in range(_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), *[ctypes.c_ulong(0)] * 3) != 0:
            break  # the kernel knows no more of them
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header, nothing = struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0), bytes(24)
    _call("capset", header, nothing)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    held = [name for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(fields[name], 16)]
    if held or 0 in map(int, fields["Uid"].split()) or fields["NoNewPrivs"].strip() != "1":
        raise OSError(f"privileges are left: {held}, uid {fields['Uid'].strip()}")
    _prctl(_PR_SET_DUMPABLE, 1)  # as after exec(2); of this sandbox's processes, all are the learner's


def _become(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Everything that Python would have set up for a new program but what is imported already."""
    os.environ.clear()
    os.environ.update(request["env"])
    script = os.path.join(request["cwd"], request["argv"][0])
    sys.argv[:] = request["argv"]
    sys.orig_argv[:] = [sys.executable, *request["argv"]]
    sys.path.insert(0, os.path.dirname(script))
    importlib.invalidate_caches()
    if "numpy" in sys.modules:  # unseeded generators differ between programs, so they must between forks
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()
    main = types.ModuleType("__main__")
    vars(main).update(__file__=script, __builtins__=builtins)
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", script)
    sys.modules["__main__"] = main
    return script, main.__dict__


def _start() -> tuple[str, dict[str, Any]]:
    """Become a learner's process, or end."""
    control = socket.socket(fileno=int(sys.argv[1]))
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(
        _PR_SET_CHILD_SUBREAPER, 1
    )  # a pid namespace ends when all in it are reaped, also those whose parent was killed
    asked = json.loads(control.recv(_MAX_MESSAGE))
    try:
        unsafe = _preload(asked["modules"], asked["path"], asked["covered"])
    except Exception as error:
        unsafe = f"{type(error).__name__}: {error}"
    control.sendall(json.dumps({"unsafe": unsafe}).encode())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    gc.collect()
    gc.freeze()  # what is shared stays shared
    return _become(_serve(control))


if __name__ == "__main__":
    _script, _names = _start()
    with open(_script, "rb") as _file:
        _code = compile(_file.read(), _script, "exec")
    exec(_code, _names)
