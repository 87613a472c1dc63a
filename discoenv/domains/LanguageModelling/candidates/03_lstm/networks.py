"""Two layers of long short-term memory (Hochreiter & Schmidhuber 1997; as in Zaremba et al. 2014)."""

from torch import nn


class Model(nn.Module):
    """A causal language model."""

    def __init__(self, config):
        super().__init__()
        self.embed = nn.Embedding(config["VOCABULARY"], config["WIDTH"])
        self.layers = nn.LSTM(config["WIDTH"], config["WIDTH"], num_layers=2, batch_first=True)
        self.head = nn.Linear(config["WIDTH"], config["VOCABULARY"], bias=False)

    def forward(self, tokens):
        """Logits float32[B, T, VOCABULARY] of tokens int64[B, T]."""
        return self.head(self.layers(self.embed(tokens))[0])
