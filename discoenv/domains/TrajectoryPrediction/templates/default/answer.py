"""Uses a trained model of motion: what the examiner asks about."""

import exam
import torch
from modes import choose
from networks import Model


class Predictor:
    """A trained model of motion.

    Args:
        config: the run's configuration.
        state: what training handed over: "model", arrays by name as in Model's state_dict(), and "modes", a
            dict with "anchors".
    """

    def __init__(self, config, state):
        torch.set_num_threads(1)
        self._config = config
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        anchors = torch.tensor(state["modes"]["anchors"], device=self._device)
        self._model = Model(config, anchors).to(self._device).eval()
        self._model.load_state_dict({name: torch.tensor(values) for name, values in state["model"].items()})

    @torch.no_grad()
    def predict(self, agents, agents_mask, lanes, lanes_mask):
        """MODES futures of the focal road user of each scene, and their probabilities.

        Args:
            agents, agents_mask, lanes, lanes_mask: of B scenes, as in training.

        Returns:
            float32[B, MODES, FUTURE, 2], metres, and float32[B, MODES].
        """
        arrays = {"agents": agents, "agents_mask": agents_mask, "lanes": lanes, "lanes_mask": lanes_mask}
        scene = {name: torch.tensor(values, device=self._device) for name, values in arrays.items()}
        trajectories, probabilities = choose(self._model(scene), self._config)
        return trajectories.float().cpu().numpy(), probabilities.float().cpu().numpy()


make = Predictor

if __name__ == "__main__":
    exam.answer(make)
