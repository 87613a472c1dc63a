"""No penalty, with replay alone. Chaudhry et al. 2019, On tiny episodic memories in continual learning."""


class Regularizer:
    """Remembers nothing."""

    def __init__(self, config, seed):
        pass

    def begin_experience(self, task, params):
        """Nothing to do."""

    def penalty(self, step):
        """None."""
        return 0.0

    def after_step(self, step, gradients, params):
        """Nothing to do."""

    def end_experience(self, task, params, finished):
        """Nothing to do."""
