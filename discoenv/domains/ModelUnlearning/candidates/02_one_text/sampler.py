"""One text of each kind in a step, one after another (sequential unlearning, Jang et al. 2023)."""

import torch


class Sampler:
    """Draws texts to forget and texts to retain.

    Args:
        forget, retain: Batches (see network.py) of all texts.
        config: the run's configuration (dict): STEPS, FORGET_BATCH, RETAIN_BATCH, MAX_BATCH.
        generator: torch.Generator on the CPU, for all randomness.
    """

    def __init__(self, forget, retain, config, generator):
        self.orders = [torch.randperm(len(each.tokens), generator=generator) for each in (forget, retain)]

    def draw(self, step, model):
        """Rows of one step: (forget_rows, retain_rows), int64 each."""
        return tuple(order[step % len(order)][None] for order in self.orders)
