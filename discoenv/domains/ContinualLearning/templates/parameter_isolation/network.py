"""A shared trunk and a head per experience; a head learns only from items of its own experience."""

import torch
from torch import nn
from trunk import Trunk


class Network(nn.Module):
    """Classifies images by the head that is surest of itself.

    Attributes:
        UNKNOWN: logit of classes that a head does not have.
    """

    UNKNOWN = -1e4

    def __init__(self, config):
        super().__init__()
        self.trunk = Trunk(config)
        self.classes_per_task = config["CLASSES_PER_TASK"]
        self.heads = nn.ModuleDict(
            {str(task): nn.Linear(self.trunk.size, self.classes_per_task) for task in range(config["TASKS"])}
        )
        self.register_buffer("classes", torch.zeros(config["TASKS"], self.classes_per_task, dtype=torch.int64))
        self.register_buffer("begun", torch.tensor(0))
        self.count = config["CLASSES"]

    def begin_experience(self, task, classes):
        """The next experience has the classes int64[CLASSES_PER_TASK]."""
        self.classes[task] = classes.to(self.classes.device)
        self.begun.fill_(task + 1)

    def forward(self, images, tasks):
        """Logits float32[N, CLASSES] of each item by the head of its experience, and features float32[N, F]."""
        features = self.trunk(images)
        logits = features.new_full((len(images), self.count), self.UNKNOWN)
        for task in tasks.unique().tolist():
            rows = (tasks == task).nonzero()
            logits = logits.index_put((rows, self.classes[task][None]), self.heads[str(task)](features[rows[:, 0]]))
        return logits, features

    def predict(self, images):
        """Labels int64[N]: the most probable class of the head whose most probable class is the most probable."""
        features = self.trunk(images)
        chances = torch.stack(
            [self.heads[str(task)](features).softmax(dim=1) for task in range(int(self.begun))], dim=1
        ).flatten(1)
        return self.classes[: int(self.begun)].flatten()[chances.argmax(dim=1)]

    def isolate(self, tasks):
        """Take the gradients, of whatever origin, from the heads of experiences that are not in ``tasks`` int64[N].

        Optimisers leave parameters without a gradient as they are: neither momentum nor weight decay moves them.
        """
        present = set(tasks.unique().tolist())
        for task, head in self.heads.items():
            if int(task) not in present:
                for parameter in head.parameters():
                    parameter.grad = None
