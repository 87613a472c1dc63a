"""Texts that the model still knows are drawn more often (by difficulty, Zhao et al. 2024)."""

import torch
from network import answer_losses

#: Steps between two looks at all texts to forget; the share of draws that are uniform.
EVERY, UNIFORM = 20, 0.2


class Sampler:
    """Draws texts to forget and texts to retain.

    Args:
        forget, retain: Batches (see network.py) of all texts.
        config: the run's configuration (dict): STEPS, FORGET_BATCH, RETAIN_BATCH, MAX_BATCH.
        generator: torch.Generator on the CPU, for all randomness.
    """

    def __init__(self, forget, retain, config, generator):
        self.forget, self.retained = forget, len(retain.tokens)
        self.batches, self.generator = (config["FORGET_BATCH"], config["RETAIN_BATCH"]), generator

    def draw(self, step, model):
        """Rows of one step: (forget_rows, retain_rows), int64 each."""
        if step % EVERY == 0:
            with torch.no_grad():
                known = torch.exp(-answer_losses(model, self.forget)).cpu()
            self.weights = UNIFORM / len(known) + (1 - UNIFORM) * known / known.sum()
        forget = torch.multinomial(self.weights, self.batches[0], replacement=True, generator=self.generator)
        return forget, torch.randint(self.retained, (self.batches[1],), generator=self.generator)
