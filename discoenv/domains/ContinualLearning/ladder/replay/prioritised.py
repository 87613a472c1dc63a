"""Items with a high loss are replayed more often. Schaul et al. 2016, Prioritized experience replay."""

import torch

#: Chances are proportional to losses to this power; losses are computed anew after so many draws.
EXPONENT, REFRESHED = 0.6, 10


class Replay:
    """A uniform sample of all items so far, drawn in proportion to a power of their losses."""

    def __init__(self, config, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.seen = self.draws = 0

    def select(self, stored, incoming, capacity):
        """As reservoir sampling (Vitter 1985) would, whole experiences at a time."""
        self.seen += len(incoming)
        kept = min(capacity, len(stored) + len(incoming))
        old = max(min(len(stored), round(kept * (1 - len(incoming) / self.seen))), kept - len(incoming))
        rows = torch.randperm(len(stored), generator=self.generator)[:old]
        new = torch.randperm(len(incoming), generator=self.generator)[: kept - old]
        return torch.cat([rows, len(stored) + new])

    def draw(self, stored, count):
        """Rows in proportion to their chances."""
        if self.draws % REFRESHED == 0:
            self.chances = (stored.losses() + 1e-3) ** EXPONENT
        self.draws += 1
        return torch.multinomial(self.chances, count, replacement=True, generator=self.generator)

    def state_dict(self):
        """How many items there have been."""
        return {"seen": self.seen}

    def load_state_dict(self, state):
        """As it was."""
        self.seen = state["seen"]
