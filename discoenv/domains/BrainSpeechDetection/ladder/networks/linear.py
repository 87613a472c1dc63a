"""A linear decoder of all sensors and times (Parra et al. 2005, "Recipes for the linear analysis of EEG")."""

from torch import nn

POOL = 4


class Model(nn.Module):
    """Logistic regression on means of ``POOL`` samples."""

    def __init__(self, config):
        super().__init__()
        self.pool = nn.AvgPool1d(POOL)
        self.head = nn.Linear(config["CHANNELS"] * (config["LENGTH"] // POOL), 1)

    def forward(self, windows):
        return self.head(self.pool(windows).flatten(1)).squeeze(1)
