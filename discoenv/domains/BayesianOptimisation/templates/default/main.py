"""Builds the optimiser from the discovered modules, then lets the examiner ask it which points to evaluate."""

from pathlib import Path

import exam
import yaml
from optimiser import Optimiser


def main():
    """Build and serve."""
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    optimiser = Optimiser(config, exam.seed())
    optimiser.rehearse()
    exam.serve(optimiser)


if __name__ == "__main__":
    main()
