"""A constant learning rate. Robbins and Monro 1951."""


class Scheduler:
    """Leaves the learning rates as they are."""

    def __init__(self, optimizer, total_steps, steps_per_experience, config):
        self.optimizer = optimizer
        self.total_steps = total_steps
        self.steps_per_experience = steps_per_experience
        self.config = config
        self.peaks = [group["lr"] for group in optimizer.param_groups]

    def step(self, step, task):
        """Set the learning rates for a training step."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * self.factor(step, task)

    def factor(self, step, task):
        """One."""
        return 1.0


def create_scheduler(optimizer, total_steps, steps_per_experience, config):
    """As :class:`Scheduler`."""
    return Scheduler(optimizer, total_steps, steps_per_experience, config)
