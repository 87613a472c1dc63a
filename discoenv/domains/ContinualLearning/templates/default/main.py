"""Trains the network on one experience, from what the one before has left, and hands over what is to be left of it."""

from pathlib import Path
from types import MappingProxyType

import exam
import torch
import yaml
from learner import ContinualLearner


def main():
    """Train and hand over. Each experience has a process of its own, and sees its own training data only."""
    torch.set_num_threads(1)  # sums do not depend on the number of cores
    config = MappingProxyType(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    learner = ContinualLearner(config, exam.seed(), exam.previous_state())
    learner.learn(**exam.training_data())
    exam.hand_over(learner.state())


if __name__ == "__main__":
    main()
