"""The program that learners are started with: it runs ``main.py``, and tells the host when agent code is about to run.

``python begin.py SOCKET MAIN PATH...``: just before the program first opens one of the paths, which are what agents
may have written, it connects to the Unix socket, once. It also does so before it starts another program or connects to
anything, because what happens then is not seen from here. Until that moment no code of an agent has run, so none can
have kept the connection from being made, or from not being made.

The text of this file runs inside, with whatever Python a pack brings; it must not import ``discoenv``.
"""

import builtins
import importlib.machinery
import os
import socket
import sys
import types
from typing import Any, Dict, FrozenSet, Tuple

_STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "socket.connect"}
#: Modules whose import precedes the start of a program that raises no event.
_STARTERS = {"multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver"}
_UNMARKED = 70


def _watch(address: str, paths: FrozenSet[str]) -> None:
    """Connect to the address before the first of the paths is opened."""
    names = {os.path.basename(path)[: -len(".py")] for path in paths if path.endswith(".py")}
    folders = tuple(path + os.sep for path in paths)
    waiting = [True]

    def of_agents(opened: Any) -> bool:
        if isinstance(opened, int):  # a descriptor, of which an event has told before
            return False
        path = os.path.abspath(os.fsdecode(opened))
        return path in paths or path.startswith(folders) or os.path.realpath(path) in paths

    def watch(event: str, arguments: Tuple[Any, ...]) -> None:
        if not waiting:
            return
        if event == "open":
            begins = of_agents(arguments[0])
        elif event == "import":
            begins = arguments[0] in names or arguments[0] in _STARTERS
        else:
            begins = event in _STARTS
        if begins:
            waiting.clear()
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(address)
                connection.close()
            except OSError as error:  # unmarked, agent code must not run
                os.write(2, ("the host cannot be told that agent code begins: %s\n" % error).encode())
                os._exit(_UNMARKED)

    sys.addaudithook(watch)


def _become(script: str) -> Tuple[str, Dict[str, Any]]:
    """What Python sets up for a program in a file."""
    path = os.path.abspath(script)
    sys.argv[:] = [script]
    sys.path[0] = os.path.dirname(path)
    main = types.ModuleType("__main__")
    vars(main).update(__file__=path, __builtins__=builtins)
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    sys.modules["__main__"] = main
    return path, vars(main)


if __name__ == "__main__":
    _address, _script, *_paths = sys.argv[1:]
    _path, _names = _become(_script)
    with open(_path, "rb") as _file:
        _code = compile(_file.read(), _path, "exec")
    _watch(_address, frozenset(_paths))
    exec(_code, _names)
