"""Two convolutions with large kernels and two fully connected layers. LeCun et al. 1998."""

from torch import nn

#: Side of the map that the fully connected layers see.
SIDE = 4


class Model(nn.Module):
    """LeNet with rectified units; its two widths are those of the first stages."""

    def __init__(self, config):
        super().__init__()
        first, second = config["CHANNELS"][:2]
        hidden = 3 * second
        self.layers = nn.Sequential(
            nn.Conv2d(config["NUM_CHANNELS"], first, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(SIDE),
            nn.Flatten(),
            nn.Linear(second * SIDE**2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, config["NUM_CLASSES"]),
        )

    def forward(self, images):
        """Logits float32[B, NUM_CLASSES] of float32[B, C, H, W]."""
        return self.layers(images)
