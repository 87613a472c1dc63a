#!/usr/bin/env python3
"""The command ``discoenv`` in an agent's container: asks the service ``exams`` to train and examine its modules.

It is copied there alone, so it imports nothing but the standard library.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

#: Where the service listens.
URL = os.environ.get("DISCOENV_EXAMS", "http://exams:8765")
FOLDER = os.environ.get("DISCOENV_MODULES", "/app/discovered")


def ask(path: str, content: dict[str, object]) -> int:
    """Send a request, print the answer; the exit code."""
    request = urllib.request.Request(f"{URL}/{path}", json.dumps(content).encode())  # noqa: S310 - our own service
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310 - exams take as long as they take
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        print(error.read().decode(errors="replace"), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"no exams can be held: {URL} does not answer ({error})", file=sys.stderr)
        return 1
    print(answer["text"])
    return 0 if answer["ok"] else 1


def main() -> int:
    """Parse the command line and ask."""
    parser = argparse.ArgumentParser(prog="discoenv", description="Train and examine the modules in " + FOLDER)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train with the modules on the datasets of the workspace; report scores")
    run.add_argument("datasets", nargs="*", help="default: all")
    run.add_argument("--seeds", type=int, default=0, help="exams per dataset; default: as many as usual")
    run.add_argument("--race", action="store_true", help="stop as soon as it is decided whether they are the best yet")
    commands.add_parser("history", help="list all runs")
    compare = commands.add_parser("compare", help="compare two runs by their numbers")
    compare.add_argument("first", type=int, nargs="?", default=0, help="default: the last run")
    compare.add_argument("second", type=int, nargs="?", default=0, help="default: the best before that")
    arguments = vars(parser.parse_args())
    command = arguments.pop("command")
    if command == "run":
        files = {path.name: path.read_text(errors="replace") for path in sorted(Path(FOLDER).glob("*.py"))}
        arguments["files"] = files
    return ask(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
