"""The same number of items of each class and experience, those that are nearest to the mean of their features."""

import torch


class Replay:
    """Balanced memory; draws are permutations of all of it."""

    def __init__(self, config, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.queue = torch.zeros(0, dtype=torch.int64)

    def select(self, stored, incoming, capacity):
        """Per class and experience as many as fit, and of the incoming ones the most typical."""
        labels = torch.cat([stored.labels, incoming.labels])
        tasks = torch.cat([stored.tasks, incoming.tasks])
        features = torch.cat([stored.features(), incoming.features()]) if len(stored) else incoming.features()
        features = torch.nn.functional.normalize(features, dim=1)
        groups = {}
        for row, pair in enumerate(zip(tasks.tolist(), labels.tolist(), strict=True)):
            groups.setdefault(pair, []).append(row)
        ranked = []
        for rows in groups.values():
            members = features[rows]
            distance = (members - members.mean(0)).norm(dim=1)
            ranked.append([rows[i] for i in distance.argsort().tolist()])
        order = torch.randperm(len(ranked), generator=self.generator).tolist()
        chosen = []
        for rank in range(max(len(rows) for rows in ranked)):
            chosen += [ranked[group][rank] for group in order if rank < len(ranked[group])]
        self.queue = self.queue[:0]
        return torch.tensor(chosen[:capacity])

    def draw(self, stored, count):
        """The next items of a random order in which each occurs once."""
        while len(self.queue) < count:
            self.queue = torch.cat([self.queue, torch.randperm(len(stored), generator=self.generator)])
        rows, self.queue = self.queue[:count], self.queue[count:]
        return rows
