"""The replay memory: a fixed number of bytes. The replay module decides what is in it, the examiner keeps it."""

import math

import torch
from views import Items, rows_of

#: Bytes of an item besides those of its image: label and experience.
ITEM_OVERHEAD_BYTES = 4


class Memory:
    """At most ``capacity`` items, MEMORY_BYTES in all.

    Args:
        config: the run's configuration.
        previous: its images, labels and tasks, as arrays; None: it is empty.

    Attributes:
        capacity: number of items that fit.
        images: uint8[N, H, W, C] with N <= capacity.
        labels, tasks: int64[N].
        kept: int64[K], what :meth:`update` chose: rows of what was stored and of what the experience brought.
    """

    def __init__(self, config, previous=None):
        shape = tuple(config["IMAGE_SHAPE"])
        self.capacity = config["MEMORY_BYTES"] // (math.prod(shape) + ITEM_OVERHEAD_BYTES)
        self.images = torch.zeros((0, *shape), dtype=torch.uint8)
        self.labels = torch.zeros(0, dtype=torch.int64)
        self.tasks = torch.zeros(0, dtype=torch.int64)
        self.kept = torch.zeros(0, dtype=torch.int64)
        if previous:
            self.images, self.labels, self.tasks = (
                torch.tensor(previous[name]) for name in ("images", "labels", "tasks")
            )

    def items(self, outputs):
        """What the modules see of it. ``outputs(images, tasks)`` gives logits and features."""
        images, tasks = self.images, self.tasks
        return Items(self.labels, tasks, lambda: outputs(images, tasks))

    def update(self, replay, images, labels, tasks, outputs):
        """Let the replay module choose, from what is stored and what the experience brought, what is kept for the next.

        Raises:
            ValueError: it chose too many items, or one twice.
        """
        incoming = Items(labels, tasks, lambda: outputs(images, tasks))
        rows = replay.select(self.items(outputs), incoming, self.capacity)
        rows = rows_of(rows, len(self.labels) + len(labels), "replay.py")
        if len(rows) > self.capacity:
            raise ValueError(f"replay.py: select() chose {len(rows)} items; {self.capacity} fit into the memory")
        if len(rows.unique()) < len(rows):
            raise ValueError("replay.py: select() chose an item more than once")
        self.kept = rows
