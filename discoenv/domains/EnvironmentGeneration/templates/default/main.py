"""Builds the search from the discovered modules, then lets the examiner ask it which levels to evaluate."""

from pathlib import Path

import exam
import torch
import yaml
from search import Search


def main():
    """Build and serve."""
    torch.set_num_threads(1)
    if torch.cuda.is_available():
        torch.set_default_device("cuda")
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    exam.serve(Search(config, exam.training_data(), exam.seed()))


if __name__ == "__main__":
    main()
