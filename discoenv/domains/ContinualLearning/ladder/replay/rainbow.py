"""Of each class and experience items of all degrees of certainty. Bang et al. 2021, Rainbow memory."""

import torch


class Replay:
    """Equal shares, evenly spread over the network's certainty; one pass gives it, where the paper has twelve."""

    def __init__(self, config, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def select(self, stored, incoming, capacity):
        """Rows at equal distances in the order of certainty."""
        labels, tasks = torch.cat([stored.labels, incoming.labels]), torch.cat([stored.tasks, incoming.tasks])
        logits = torch.cat([stored.logits(), incoming.logits()]) if len(stored) else incoming.logits()
        certainty = logits.softmax(1).amax(1)
        pairs = torch.stack([tasks, labels], dim=1)
        groups = [(pairs == pair).all(1).nonzero()[:, 0] for pair in pairs.unique(dim=0)]
        sizes = _shares([len(rows) for rows in groups], capacity)
        chosen = []
        for rows, size in zip(groups, sizes, strict=True):
            ordered = rows[certainty[rows].argsort()]
            chosen.append(ordered[torch.linspace(0, len(rows) - 1, size).round().long()])
        return torch.cat(chosen)

    def draw(self, stored, count):
        """Any rows."""
        return torch.randint(len(stored), (count,), generator=self.generator)


def _shares(sizes, capacity):
    """``capacity`` in equal shares, none larger than its size; what is left over goes to the first."""
    shares = [0] * len(sizes)
    left = min(capacity, sum(sizes))
    while left:
        for number in [number for number, size in enumerate(sizes) if shares[number] < size][:left]:
            shares[number] += 1
            left -= 1
    return shares
