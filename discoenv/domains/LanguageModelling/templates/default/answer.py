"""Uses a trained language model: what the examiner asks about."""

import exam
import torch
from networks import Model


class LanguageModel:
    """A trained language model.

    Args:
        config: the run's configuration.
        state: what training handed over: "model", arrays by name as in Model's state_dict(), and "tokens", how many
            it was trained on.
    """

    def __init__(self, config, state):
        torch.set_num_threads(1)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = Model(config).to(self._device).eval()
        self._model.load_state_dict({name: torch.tensor(values) for name, values in state["model"].items()})

    @torch.no_grad()
    def logits(self, tokens, positions):
        """Logits float32[B, K, VOCABULARY] of what follows ``positions``, int[B, K], in ``tokens``, int[B, T]."""
        found = self._model(torch.tensor(tokens, dtype=torch.int64, device=self._device))
        rows = torch.arange(len(found), device=self._device)[:, None]
        return found[rows, torch.tensor(positions, dtype=torch.int64, device=self._device)].float().cpu().numpy()


make = LanguageModel

if __name__ == "__main__":
    exam.answer(make)
