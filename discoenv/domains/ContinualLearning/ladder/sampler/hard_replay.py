"""Of twice as many items those with the highest loss are replayed. Shrivastava et al. 2016, Online hard examples."""

import torch

#: Items of the memory that are looked at for each one that is replayed.
CANDIDATES = 2


class Sampler:
    """One to one, with hard examples of the past; each step costs a pass of the memory through the network."""

    def __init__(self, config, seed):
        self.most = config["MAX_BATCH"]

    def compose(self, current, stored, draw):
        """The current batch and replay."""
        rows = torch.arange(len(current))
        if len(stored) == 0:
            return rows, [], None
        count = self.most - len(rows)
        candidates = draw(CANDIDATES * count)
        return rows, candidates[stored.losses()[candidates].topk(count).indices], None
