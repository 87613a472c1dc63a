"""The learning rate over the stream."""

import math


class Scheduler:
    """Sets the learning rate of each step.

    Each experience has a new one, with a new optimiser. It may have ``state_dict()`` and ``load_state_dict(state)``, as
    that of replay.py.

    Args:
        optimizer: a torch.optim.Optimizer, as from optim.py.
        total_steps: number of training steps of the whole stream.
        steps_per_experience: number of training steps of one experience.
        config: the run's configuration (immutable mapping).
    """

    def __init__(self, optimizer, total_steps, steps_per_experience, config):
        self.optimizer = optimizer
        self.total_steps = total_steps
        self.steps_per_experience = steps_per_experience
        self.config = config
        self.peaks = [group["lr"] for group in optimizer.param_groups]

    def step(self, step, task):
        """Set the learning rates for a training step; called before it.

        Args:
            step: its number, 0 to ``total_steps`` - 1.
            task: the present experience, 0 to TASKS - 1.
        """
        # <solution>
        warm_up = max(1, round(self.config["WARM_UP"] * self.total_steps))
        progress = step / self.total_steps
        final = self.config["LR_DECAY"]
        factor = min(1.0, (step + 1) / warm_up) * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        # </solution>


def create_scheduler(optimizer, total_steps, steps_per_experience, config):
    """An object with the method ``step(step, task)`` of :class:`Scheduler`; arguments as there."""
    return Scheduler(optimizer, total_steps, steps_per_experience, config)
