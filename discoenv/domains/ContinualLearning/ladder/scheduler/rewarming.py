"""Warming up and a cosine in each experience. Ibrahim et al. 2024, Simple and scalable strategies."""

import math

#: Share of the steps of an experience in which the learning rate rises.
WARM_UP = 0.1


class Scheduler:
    """Each experience begins slowly, since its optimiser knows nothing yet."""

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
        """A linear rise, then from one to LR_DECAY."""
        warm_up = max(1, round(WARM_UP * self.steps_per_experience))
        done = step - task * self.steps_per_experience
        final = self.config["LR_DECAY"]
        progress = max(0, done - warm_up) / max(1, self.steps_per_experience - warm_up)
        return min(1.0, (done + 1) / warm_up) * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def create_scheduler(optimizer, total_steps, steps_per_experience, config):
    """As :class:`Scheduler`."""
    return Scheduler(optimizer, total_steps, steps_per_experience, config)
