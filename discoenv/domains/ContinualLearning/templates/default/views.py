"""What the modules see of items, of training steps and of a finished experience; images they do not see."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional


def as_input(images, device):
    """Images uint8[N, H, W, C] as the network takes them: float32[N, C, H, W] from -2 to 2."""
    return (images.to(device).permute(0, 3, 1, 2).float() - 127.5) / 63.75


def rows_of(rows, count, module):
    """Row numbers int64[K] of ``count`` items, as a module returned them.

    Raises:
        ValueError: they are none.
    """
    rows = torch.as_tensor(rows)
    if rows.numel() == 0:
        return torch.zeros(0, dtype=torch.int64)
    if rows.ndim != 1 or rows.dtype.is_floating_point or rows.dtype == torch.bool:
        raise ValueError(f"{module}: rows must be integers of one dimension, not {rows.dtype} {tuple(rows.shape)}")
    if rows.min() < 0 or rows.max() >= count:
        raise ValueError(f"{module}: rows from {rows.min()} to {rows.max()} of {count} items")
    return rows.long().cpu()


class Items:
    """N labelled images.

    Attributes:
        labels: int64[N].
        tasks: int64[N], the experience (0, 1, …) that each is from.
    """

    def __init__(self, labels, tasks, outputs):
        self.labels = labels.clone()
        self.tasks = tasks.clone()
        self._outputs = outputs
        self._found = None

    def __len__(self):
        return len(self.labels)

    def logits(self):
        """Logits float32[N, CLASSES] of the network as it is now. Costs a pass through it, once."""
        if self._found is None:
            self._found = self._outputs()
        return self._found[0].clone()

    def features(self):
        """Input float32[N, F] of the last layer of the network as it is now. Costs a pass through it, once."""
        self.logits()
        return self._found[1].clone()

    def losses(self):
        """Cross-entropy float32[N] of the network as it is now. Costs a pass through it, once."""
        return functional.cross_entropy(self.logits(), self.labels, reduction="none")


@dataclass
class Step:
    """A training step, between forward and backward pass. Gradients flow through params, logits, features, losses.

    Attributes:
        index: 0, 1, … over the whole stream.
        task: the present experience.
        params: the network's parameters by name.
        logits: float32[N, CLASSES] of the batch.
        features: float32[N, F].
        losses: float32[N], cross-entropy.
        labels, tasks: int64[N].
        replayed: bool[N], whether the item comes from the memory.
        previous: returns (logits, features) of this batch by the network as it was when the last experience ended,
            without gradients; None in the first experience. Costs a pass through it.
    """

    index: int
    task: int
    params: dict
    logits: torch.Tensor
    features: torch.Tensor
    losses: torch.Tensor
    labels: torch.Tensor
    tasks: torch.Tensor
    replayed: torch.Tensor
    previous: Callable


class Finished:
    """The end of an experience: gradients at its validation images, to find out which parameters matter."""

    def __init__(self, network, task, images, labels, generator):
        self._network = network
        self._task = task
        self._images = images
        self._labels = labels
        self._generator = generator

    def gradients(self, count, of="sampled"):
        """Gradients with respect to the parameters, one image at a time: yields ``count`` dicts of tensors by name.

        Args:
            count: number of images; drawn at random, without repetition as long as there are enough.
            of: what is differentiated. "label": log-likelihood of the image's label; "sampled": that of a label
                drawn from the network's own prediction, as in the Fisher information; "norm": squared length of the
                vector of logits of known classes.
        """
        if of not in ("label", "sampled", "norm"):
            raise ValueError(f"gradients(of={of!r}): one of 'label', 'sampled', 'norm'")
        parameters = dict(self._network.named_parameters())
        device = next(iter(parameters.values())).device
        order = torch.randperm(len(self._images), generator=self._generator)
        for row in order.repeat(-(-count // len(order)))[:count]:
            tasks = torch.tensor([self._task], device=device)
            logits, _ = self._network(as_input(self._images[row : row + 1], device), tasks)
            known = logits[0] > self._network.UNKNOWN
            likelihood = logits[0].log_softmax(0)
            if of == "norm":
                value = (logits[0][known] ** 2).sum()
            elif of == "label":
                value = likelihood[self._labels[row]]
            else:
                chances = likelihood.detach().exp().cpu()
                value = likelihood[int(torch.multinomial(chances, 1, generator=self._generator))]
            found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
            yield {
                name: torch.zeros_like(parameter) if gradient is None else gradient
                for (name, parameter), gradient in zip(parameters.items(), found, strict=True)
            }
