"""Constant until near the end of the stream. Hu et al. 2024, MiniCPM."""

#: Share of the steps in which the learning rate falls.
TAIL = 0.1


class Scheduler:
    """Rises, stays, and falls at the end only."""

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
        """A linear rise, one, then a linear fall to LR_DECAY in the last TAIL of the steps."""
        warm_up = max(1, round(self.config["WARM_UP"] * self.total_steps))
        left = min(1.0, (self.total_steps - step) / (TAIL * self.total_steps))
        final = self.config["LR_DECAY"]
        return min(1.0, (step + 1) / warm_up) * (final + (1 - final) * left)


def create_scheduler(optimizer, total_steps, steps_per_experience, config):
    """As :class:`Scheduler`."""
    return Scheduler(optimizer, total_steps, steps_per_experience, config)
