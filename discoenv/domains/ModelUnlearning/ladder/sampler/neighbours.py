"""Half of the texts to retain share many words with those to forget of the same step (Chang and Lee 2025)."""

import torch


class Sampler:
    """Draws texts to forget and texts to retain.

    Args:
        forget, retain: Batches (see network.py) of all texts.
        config: the run's configuration (dict): STEPS, FORGET_BATCH, RETAIN_BATCH, MAX_BATCH.
        generator: torch.Generator on the CPU, for all randomness.
    """

    def __init__(self, forget, retain, config, generator):
        self.sizes = len(forget.tokens), len(retain.tokens)
        self.batches, self.generator = (config["FORGET_BATCH"], config["RETAIN_BATCH"]), generator
        words = [torch.zeros(size, config["VOCABULARY"]) for size in self.sizes]
        for sets, texts in zip(words, (forget, retain), strict=True):
            sets.scatter_(1, texts.tokens.cpu(), 1.0)
        rarity = torch.log(len(words[1]) / (1.0 + words[1].sum(dim=0))).clamp(min=0.1)
        shared = (words[0] * rarity) @ words[1].T / (rarity * words[1]).sum(dim=1)
        self.nearest = shared.topk(8, dim=1).indices

    def draw(self, step, model):
        """Rows of one step: (forget_rows, retain_rows), int64 each."""
        forget = torch.randint(self.sizes[0], (self.batches[0],), generator=self.generator)
        half = self.batches[1] // 2
        among = self.nearest[forget].flatten()
        near = among[torch.randint(len(among), (half,), generator=self.generator)]
        others = torch.randint(self.sizes[1], (self.batches[1] - half,), generator=self.generator)
        return forget, torch.cat([near, others])
