"""The configuration of a run."""

from config import make_config
from flax.core import FrozenDict


def get_config(values):
    """The run's configuration: what config.py makes of ``values`` (of config.yaml), and these. It cannot be changed."""
    hyperparameters = make_config(FrozenDict(values))
    if not isinstance(hyperparameters, dict) or "LR" not in hyperparameters:
        raise ValueError("config.py: make_config(settings) must return a dict with at least the key LR")
    return FrozenDict({**hyperparameters, **values})
