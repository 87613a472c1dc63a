"""Uses a trained classifier: what the examiner asks about."""

import exam
import torch
from networks import Model
from preprocess import build_transforms


class Classifier:
    """A trained classifier.

    Args:
        config: the run's configuration.
        state: what training handed over: "model", arrays by name as in Model's state_dict(), and "statistics", the
            keys MEAN, STD and CLASS_COUNTS of the configuration.
    """

    def __init__(self, config, state):
        torch.set_num_threads(1)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = config | {key: values.tolist() for key, values in state["statistics"].items()}
        self._model = Model(config).to(self._device).eval()
        self._model.load_state_dict({name: torch.tensor(values) for name, values in state["model"].items()})
        _, self._transform = build_transforms(config)

    @torch.no_grad()
    def logits(self, images):
        """Logits float32[B, NUM_CLASSES] of uint8[B, HEIGHT, WIDTH, NUM_CHANNELS]; how sure, not yet normalised."""
        return self._model(self._transform(torch.tensor(images, device=self._device))).float().cpu().numpy()


make = Classifier

if __name__ == "__main__":
    exam.answer(make)
