"""Uses a trained detector: what the examiner asks about."""

import exam
import torch
from networks import Model
from preprocess import transform


class Detector:
    """A trained detector of speech.

    Args:
        config: the run's configuration.
        state: what training handed over: "model", arrays by name as in Model's state_dict(), "preprocess", what
            preprocess.fit returned, and "threshold", from which probability on a window counts as speech.
    """

    def __init__(self, config, state):
        torch.set_num_threads(1)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._config = config
        self._fitted = {name: torch.tensor(values).to(self._device) for name, values in state["preprocess"].items()}
        probe = torch.zeros(1, config["SENSORS"], config["SAMPLES"], device=self._device)
        _, channels, length = transform(probe, self._fitted, config).shape
        self._model = Model(config | {"CHANNELS": channels, "LENGTH": length}).to(self._device).eval()
        self._model.load_state_dict({name: torch.tensor(values) for name, values in state["model"].items()})

    @torch.no_grad()
    def probabilities(self, windows):
        """Probabilities of speech float64[B] of windows float32[B, SENSORS, SAMPLES], in pT."""
        inputs = transform(torch.tensor(windows, device=self._device), self._fitted, self._config)
        return torch.sigmoid(self._model(inputs).double()).cpu().numpy()


make = Detector

if __name__ == "__main__":
    exam.answer(make)
