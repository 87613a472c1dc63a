"""Builds a network and its modules, which learn while the examiner presents one experience after another."""

from pathlib import Path
from types import MappingProxyType

import exam
import torch
import yaml
from learner import ContinualLearner


def main():
    """Build and serve."""
    torch.set_num_threads(1)  # sums do not depend on the number of cores
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    exam.serve(ContinualLearner(MappingProxyType(config), exam.seed()))


if __name__ == "__main__":
    main()
