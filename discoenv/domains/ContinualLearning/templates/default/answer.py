"""Uses a network that was handed over: what the examiner asks about."""

import exam
import torch
from network import Network
from views import as_input

#: Images that are put through the network at once.
CHUNK = 256


class Answers:
    """A network after some experiences.

    Args:
        config: the run's configuration.
        state: what training handed over; of it "network", the parameters by name, and "classes", int64[T,
            CLASSES_PER_TASK], the classes of each experience so far.
    """

    def __init__(self, config, state):
        torch.set_num_threads(1)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = restored(config, state).to(self._device)

    @torch.no_grad()
    def predict(self, images):
        """Labels int64[N] of images uint8[N, H, W, C] of any experience; which one is not told."""
        parts = torch.tensor(images).split(CHUNK)
        return torch.cat([self._network.predict(as_input(part, self._device)) for part in parts]).cpu().numpy()


def restored(config, state):
    """The network that ``state`` describes, on the CPU; see :class:`Answers`."""
    network = Network(config)
    for task, classes in enumerate(state["classes"]):
        network.begin_experience(task, torch.tensor(classes))
    network.load_state_dict(network.state_dict() | {name: torch.tensor(x) for name, x in state["network"].items()})
    return network


def parameters(config):
    """What "network" of a state must be like: the parameters of a new network by name, float32 arrays."""
    return {name: value.detach().numpy() for name, value in Network(config).named_parameters()}


make = Answers

if __name__ == "__main__":
    exam.answer(make)
