"""A cosine in each experience. Loshchilov and Hutter 2017, SGDR: Stochastic gradient descent with warm restarts."""

import math


class Scheduler:
    """Each experience begins with the full learning rate."""

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
        """From one to LR_DECAY."""
        progress = (step - task * self.steps_per_experience) / self.steps_per_experience
        final = self.config["LR_DECAY"]
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def create_scheduler(optimizer, total_steps, steps_per_experience, config):
    """As :class:`Scheduler`."""
    return Scheduler(optimizer, total_steps, steps_per_experience, config)
