"""Of each class and experience the items whose mean is closest to that of all. Rebuffi et al. 2017, iCaRL."""

import torch
from torch.nn import functional


def herded(features, count):
    """Numbers of ``count`` rows of float32[N, F]: each brings the mean of those so far closest to that of all."""
    features = functional.normalize(features, dim=1)
    wanted, total, chosen = features.mean(0), torch.zeros(features.shape[1]), []
    for size in range(1, min(count, len(features)) + 1):
        distance = (wanted - (total + features) / size).norm(dim=1)
        distance[chosen] = torch.inf
        chosen.append(int(distance.argmin()))
        total = total + features[chosen[-1]]
    return chosen


class Replay:
    """Equal shares. The memory keeps the order of its rows, so the last ones of a share are the first to go."""

    def __init__(self, config, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def select(self, stored, incoming, capacity):
        """The first row of each share, then the second, until the memory is full."""
        shares = {}
        for row, pair in enumerate(zip(stored.tasks.tolist(), stored.labels.tolist(), strict=True)):
            shares.setdefault(pair, []).append(row)
        features, task = incoming.features(), int(incoming.tasks[0])
        for label in incoming.labels.unique().tolist():
            rows = (incoming.labels == label).nonzero()[:, 0]
            shares[task, label] = (len(stored) + rows[herded(features[rows], capacity)]).tolist()
        order = torch.randperm(len(shares), generator=self.generator).tolist()
        ranks = (
            (rank, number, row)
            for number, rows in zip(order, shares.values(), strict=True)
            for rank, row in enumerate(rows)
        )
        return torch.tensor([row for *_, row in sorted(ranks)[:capacity]])

    def draw(self, stored, count):
        """Any rows."""
        return torch.randint(len(stored), (count,), generator=self.generator)
