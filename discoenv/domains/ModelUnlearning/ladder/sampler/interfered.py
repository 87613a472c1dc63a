"""Texts to retain whose loss has risen most are drawn more often (maximal interference, Aljundi et al. 2019)."""

import torch
from network import text_losses

#: Steps between two looks at all texts to retain; the share of draws that are uniform.
EVERY, UNIFORM = 20, 0.5


class Sampler:
    """Draws texts to forget and texts to retain.

    Args:
        forget, retain: Batches (see network.py) of all texts.
        config: the run's configuration (dict): STEPS, FORGET_BATCH, RETAIN_BATCH, MAX_BATCH.
        generator: torch.Generator on the CPU, for all randomness.
    """

    def __init__(self, forget, retain, config, generator):
        self.retain, self.forgotten = retain, len(forget.tokens)
        self.batches, self.generator = (config["FORGET_BATCH"], config["RETAIN_BATCH"]), generator
        self.before = None

    def draw(self, step, model):
        """Rows of one step: (forget_rows, retain_rows), int64 each."""
        if step % EVERY == 0:
            with torch.no_grad():
                losses = text_losses(model, self.retain).cpu()
            self.before = losses if self.before is None else self.before
            risen = (losses - self.before).clamp(min=0.0) + 1e-4
            self.weights = UNIFORM / len(risen) + (1 - UNIFORM) * risen / risen.sum()
        forget = torch.randint(self.forgotten, (self.batches[0],), generator=self.generator)
        return forget, torch.multinomial(self.weights, self.batches[1], generator=self.generator)
