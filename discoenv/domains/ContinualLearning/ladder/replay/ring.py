"""As many items of each class and experience. Chaudhry et al. 2019, On tiny episodic memories in continual learning."""

import torch


class Replay:
    """Equal shares, filled at random."""

    def __init__(self, config, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def select(self, stored, incoming, capacity):
        """One more row of each class and experience, until the memory is full; those that were stored stay in it."""
        labels, tasks = torch.cat([stored.labels, incoming.labels]), torch.cat([stored.tasks, incoming.tasks])
        groups = {}
        for row in torch.randperm(len(labels), generator=self.generator).tolist():
            groups.setdefault((int(tasks[row]), int(labels[row])), []).append(row)
        ranks = ((rank, number, row) for number, rows in enumerate(groups.values()) for rank, row in enumerate(rows))
        return torch.tensor([row for *_, row in sorted(ranks)[:capacity]])

    def draw(self, stored, count):
        """Any rows."""
        return torch.randint(len(stored), (count,), generator=self.generator)
