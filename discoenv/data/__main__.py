"""``python -m discoenv.data digests`` prints what is generated here; ``sheets FOLDER`` draws samples of datasets.

``FOLDER`` is a domain's folder ``datasets``: each dataset of it that uses one of these sets gets a ``samples.png``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from discoenv.data.generated.store import GENERATORS


def main(arguments: list[str]) -> int:
    """Run one of the two commands."""
    match arguments:
        case ["digests"]:
            for name, generate in GENERATORS.items():
                print(f'    "{name}": "{generate().digest()}",', flush=True)
        case ["sheets", folder]:
            from discoenv.data import contact_sheets  # needs Pillow

            for path in contact_sheets.write_all(Path(folder)):
                print(path)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
