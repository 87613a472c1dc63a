"""``python -m discoenv.imagesets digests`` prints what is generated here; ``sheets FOLDER`` draws every set."""

from __future__ import annotations

import sys
from pathlib import Path

from discoenv.imagesets.store import GENERATORS, load


def main(arguments: list[str]) -> int:
    """Run one of the two commands."""
    match arguments:
        case ["digests"]:
            for name, generate in GENERATORS.items():
                print(f'    "{name}": "{generate().digest()}",', flush=True)
        case ["sheets", folder]:
            from discoenv.imagesets import sheets  # noqa: PLC0415 - needs Pillow

            for name in GENERATORS:
                sheets.write(load(name), Path(folder) / f"{name}.png")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
