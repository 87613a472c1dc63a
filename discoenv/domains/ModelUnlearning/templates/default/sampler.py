"""Which texts a training step is made on."""

import torch


class Sampler:
    """Draws texts to forget and texts to retain.

    Args:
        forget: Batch (see network.py) of all N texts to forget.
        retain: Batch of all M texts to retain.
        config: the run's configuration (dict): STEPS, FORGET_BATCH, RETAIN_BATCH, MAX_BATCH.
        generator: torch.Generator on the CPU, for all randomness.
    """

    def __init__(self, forget, retain, config, generator):
        # <solution>
        self.sizes = len(forget.tokens), len(retain.tokens)
        self.batches = config["FORGET_BATCH"], config["RETAIN_BATCH"]
        self.generator = generator
        self.left = [torch.empty(0, dtype=torch.int64)] * 2
        # </solution>

    def draw(self, step, model):
        """The rows of one step.

        Args:
            step: number of the step, from 0.
            model: as it is now; looking at texts with it costs time.

        Returns:
            (forget_rows, retain_rows): int64[F], int64[R], each with 1 to MAX_BATCH rows, which may repeat.
        """
        # <solution>
        return tuple(self._next(part) for part in range(2))
        # </solution>

    def _next(self, part):
        """The next rows of the texts to forget (0) or to retain (1): each text once, in random order, then again."""
        # <solution>
        while len(self.left[part]) < self.batches[part]:
            order = torch.randperm(self.sizes[part], generator=self.generator)
            self.left[part] = torch.cat([self.left[part], order])
        rows, self.left[part] = self.left[part].split([self.batches[part], len(self.left[part]) - self.batches[part]])
        return rows
        # </solution>
