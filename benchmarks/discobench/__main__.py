"""``python benchmarks/discobench [options]`` is ``discoenv bench run --tasks DiscoBench [options]``.

Without ``--agents``, the agents play that need no language model. ``slurm.yaml``, beside this file, is an example of
what ``--dask slurm:FILE`` reads.
"""

from __future__ import annotations

import sys
from typing import Final

from discoenv.cli.main import main

AGENTS: Final = ("baseline", "random_search", "evolve")


def arguments(given: list[str]) -> list[str]:
    """The command's arguments, out of those that were given to this script."""
    named = any(word in ("-r", "--help") or word.startswith(("--agents", "--resume")) for word in given)
    return ["bench", "run", *([] if named else ["--agents", ",".join(AGENTS)]), "--tasks", "DiscoBench", *given]


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
