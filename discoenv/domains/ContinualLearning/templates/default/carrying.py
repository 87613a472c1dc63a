"""What modules keep from one experience to the next: ``state_dict()`` and ``load_state_dict(state)``.

A module without them starts anew with each experience. A state is a dict of arrays (tensors or NumPy arrays), numbers,
and dicts and lists of them. How much of it there may be, and how exactly it is kept, the task's description says.
"""

import numpy as np
import torch


class Module:
    """A module whose state is kept, if it has one.

    Args:
        name: its file, ``replay.py``.
        save, load: its two functions; None: it has none.

    Raises:
        TypeError: it has one of them only.
    """

    def __init__(self, name, save, load):
        if (save is None) != (load is None):
            has, lacks = ("load_state_dict", "state_dict") if save is None else ("state_dict", "load_state_dict")
            raise TypeError(f"{name} has {has}() but no {lacks}(); write both, or neither")
        self.name, self._save, self._load = name, save, load

    @classmethod
    def of(cls, name, module):
        """The module whose functions are the methods of an object."""
        return cls(name, getattr(module, "state_dict", None), getattr(module, "load_state_dict", None))

    def state(self):
        """Its state as NumPy arrays and numbers, {} if it has none.

        Raises:
            TypeError: it holds something else.
        """
        if self._save is None:
            return {}
        state = self._save()
        if not isinstance(state, dict):
            raise TypeError(f"{self.name}: state_dict() returned {type(state).__name__}; expected a dict")
        return self._plain(state, "")

    def load(self, state, device):
        """Give it the state that it had: arrays of floats are tensors on ``device``, other arrays on the CPU."""
        if self._load is not None:
            self._load(_tensors(state, device))

    def _plain(self, node, path):
        if isinstance(node, dict):
            for key in node:
                if not isinstance(key, str):
                    raise TypeError(f"{self.name}: state_dict(){path} has the key {key!r}; keys must be text")
            return {key: self._plain(value, f"{path}[{key!r}]") for key, value in node.items()}
        if isinstance(node, (list, tuple)):
            return [self._plain(value, f"{path}[{number}]") for number, value in enumerate(node)]
        if isinstance(node, (bool, int, float)):
            return node
        if isinstance(node, torch.Tensor):
            node = node.detach().cpu()
            node = (node.float() if node.dtype == torch.bfloat16 else node).numpy()
        if isinstance(node, (np.ndarray, np.generic)) and node.dtype.kind in "biuf":
            return node
        raise TypeError(f"{self.name}: state_dict(){path} is {type(node).__name__}; expected an array or a number")


def _tensors(node, device):
    if isinstance(node, dict):
        return {key: _tensors(value, device) for key, value in node.items()}
    if isinstance(node, list):
        return [_tensors(value, device) for value in node]
    if isinstance(node, np.ndarray):
        return torch.tensor(node, device=device if node.dtype.kind == "f" else "cpu")
    return node
