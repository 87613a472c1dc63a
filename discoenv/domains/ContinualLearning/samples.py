"""``python -m discoenv.domains.ContinualLearning.samples`` writes ``samples.png`` of streams that need no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from discoenv.data import contact_sheets
from discoenv.data.generated import GENERATORS

from .streams import sample

#: Images of each experience.
_EACH = 5


def main() -> None:
    """Write a column of training images per experience."""
    for path in sorted((Path(__file__).parent / "datasets").glob("*/config.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        config = {**content["all"], **content["small"]}
        if config["IMAGES"] in GENERATORS:
            stream = sample(config, None, lambda purpose: np.random.default_rng(list(purpose.encode())))
            columns = [experience.train.x[:_EACH] for experience in stream]
            to = path.with_name("samples.png")
            contact_sheets.write_png(contact_sheets.columns(columns, scale=max(1, 32 // columns[0].shape[1])), to)
            print(to)


if __name__ == "__main__":
    main()
