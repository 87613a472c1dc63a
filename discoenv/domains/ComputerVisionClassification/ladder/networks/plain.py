"""Small convolutions one after another, without normalisation or shortcuts. Simonyan and Zisserman 2015."""

from torch import nn


class Model(nn.Module):
    """Stages of as many convolutions as the base network has, each followed by a rectifier; He et al. 2015 begin it."""

    def __init__(self, config):
        super().__init__()
        layers, before = [], config["NUM_CHANNELS"]
        for stage, width in enumerate(config["CHANNELS"]):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for _ in range(2 * config["BLOCKS"]):
                convolution = nn.Conv2d(before, width, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                nn.init.zeros_(convolution.bias)
                layers += [convolution, nn.ReLU()]
                before = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config["DROPOUT"])]
        self.layers = nn.Sequential(*layers, nn.Linear(before, config["NUM_CLASSES"]))

    def forward(self, images):
        """Logits float32[B, NUM_CLASSES] of float32[B, C, H, W]."""
        return self.layers(images)
