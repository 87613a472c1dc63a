"""A penalty for forgetting, added to the loss."""

import torch


class Regularizer:
    """Remembers what matters to past experiences.

    Each experience has a new one: ``load_state_dict`` gives it what ``state_dict`` of the last one returned. Both may
    be left out.

    Args:
        config: the run's configuration (immutable mapping).
        seed: of its randomness.
    """

    def __init__(self, config, seed):
        self.config = config
        self.generator = torch.Generator().manual_seed(seed)
        self.anchor = {}
        self.importance = {}
        self.vectors = []

    def begin_experience(self, task, params):
        """An experience begins.

        Args:
            task: its number, 0 to TASKS - 1.
            params: copies of the network's parameters by name, as the last experience left them.
        """
        self.anchor = params

    def penalty(self, step):
        """What is added to the mean loss of a batch.

        Args:
            step: a ``Step`` (see views.py): parameters, logits, features and losses; gradients flow through them.

        Returns:
            torch.Tensor: a finite scalar, or 0.0.
        """
        # <solution>
        if not self.importance:
            return 0.0
        if not self.vectors:  # a few operations on one long vector are cheaper than as many on each parameter
            parts = (self.importance, self.anchor)
            self.vectors = [torch.cat([part[name].flatten() for name in step.params]) for part in parts]
        importance, anchor = self.vectors
        change = torch.cat([value.flatten() for value in step.params.values()]) - anchor
        return 0.5 * self.config["EWC_STRENGTH"] * (importance * change.square()).sum()
        # </solution>

    def after_step(self, step, gradients, params):
        """A training step has been taken.

        Args:
            step: its number over the whole stream.
            gradients: copies of its gradients by parameter name, the penalty's included; some may have none.
            params: copies of the parameters after it, by name.
        """

    def end_experience(self, task, params, finished):
        """An experience is over.

        Args:
            task: its number.
            params: copies of the network's parameters by name.
            finished: a ``Finished`` (see views.py), which gives gradients at the experience's validation images.
        """
        # <solution>
        # Elastic weight consolidation (Kirkpatrick et al. 2017), its importances added up over experiences: the
        # diagonal of the Fisher information, which is the mean square of the gradients of single images.
        count = self.config["FISHER_SAMPLES"]
        fisher = {name: torch.zeros_like(value) for name, value in params.items()}
        for gradients in finished.gradients(count, of="sampled"):
            for name, gradient in gradients.items():
                fisher[name] += gradient**2 / count
        for name, value in fisher.items():
            self.importance[name] = self.config["EWC_DECAY"] * self.importance.get(name, 0.0) + value
        # </solution>

    def state_dict(self):
        """What the next experience's regularizer gets: a dict of arrays and numbers, see the task's description."""
        return {"importance": self.importance}

    def load_state_dict(self, state):
        """Take what :meth:`state_dict` returned; called before :meth:`begin_experience`, but in the first experience.

        Args:
            state: as it was returned; arrays are tensors, those of floats rounded and on the network's device.
        """
        self.importance = state["importance"]
