"""The memory holds the latest items. Isele and Cosgun 2018, Selective experience replay for lifelong learning."""

import torch


class Replay:
    """First in, first out."""

    def __init__(self, config, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def select(self, stored, incoming, capacity):
        """The last ``capacity`` rows."""
        return torch.arange(len(stored) + len(incoming))[-capacity:]

    def draw(self, stored, count):
        """Any rows."""
        return torch.randint(len(stored), (count,), generator=self.generator)
