"""What the replay memory holds, and what is drawn from it."""

import torch


class Replay:
    """Chooses items by row number; their images stay in the memory.

    Each experience has a new one: ``load_state_dict`` gives it what ``state_dict`` of the last one returned. Both may
    be left out.

    Args:
        config: the run's configuration (immutable mapping).
        seed: of its randomness.
    """

    def __init__(self, config, seed):
        self.config = config
        self.generator = torch.Generator().manual_seed(seed)
        self.seen = 0

    def select(self, stored, incoming, capacity):
        """What the memory holds from now on; called at the end of each experience.

        Args:
            stored: ``Items`` (see views.py) that the memory holds, N of them.
            incoming: ``Items`` of the experience, M of them.
            capacity: number of items that fit into the memory.

        Returns:
            int64[K] with K <= capacity, each at most once: rows of the stored items (0 to N - 1) and of the incoming
            ones (N to N + M - 1) that are kept.
        """
        # <solution>
        # A uniform sample of all items so far, as by reservoir sampling (Vitter 1985), whole experiences at a time.
        self.seen += len(incoming)
        kept = min(capacity, len(stored) + len(incoming))
        old = min(len(stored), round(kept * (1 - len(incoming) / self.seen)))
        old = max(old, kept - len(incoming))
        rows = torch.randperm(len(stored), generator=self.generator)[:old]
        new = torch.randperm(len(incoming), generator=self.generator)[: kept - old]
        return torch.cat([rows, len(stored) + new])
        # </solution>

    def draw(self, stored, count):
        """Items to be replayed.

        Args:
            stored: ``Items`` that the memory holds, at least one.
            count: number of items wanted.

        Returns:
            int64[count]: rows of ``stored``; a row may occur more than once.
        """
        # <solution>
        return torch.randint(len(stored), (count,), generator=self.generator)
        # </solution>

    def state_dict(self):
        """What the next experience's object gets: a dict of arrays and numbers, see the task's description."""
        return {"seen": self.seen}

    def load_state_dict(self, state):
        """Take what :meth:`state_dict` returned; arrays are tensors, those of floats rounded."""
        self.seen = state["seen"]
