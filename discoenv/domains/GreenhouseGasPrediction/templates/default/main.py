"""Fits the discovered model to the record up to the first origin, then answers the examiner's questions."""

import random
from pathlib import Path

import exam
import numpy as np
import yaml
from forecaster import Forecaster


def main():
    """Fit and serve."""
    random.seed(exam.seed())
    np.random.seed(exam.seed())
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    history = exam.training_data()["history"]
    print(f"{config['gas']}, {config['unit']}: {len(history)} rows, {history[0, 0]:.2f} to {history[-1, 0]:.2f}")
    exam.serve(Forecaster(history, config))


if __name__ == "__main__":
    main()
