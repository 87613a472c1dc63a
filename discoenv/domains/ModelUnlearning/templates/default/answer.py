"""Uses a model that was handed over: what the examiner asks about."""

import exam
import torch
from network import Reader, build


def make(config, state):
    """What answers: a :class:`network.Reader` of the model with the parameters that training has handed over."""
    torch.set_num_threads(1)
    return Reader(build(config, state["parameters"], "cuda" if torch.cuda.is_available() else "cpu"))


if __name__ == "__main__":
    exam.answer(make)
