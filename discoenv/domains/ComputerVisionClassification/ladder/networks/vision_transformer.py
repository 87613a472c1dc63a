"""Self-attention between patches of the image, without pretraining. Dosovitskiy et al. 2021."""

import torch
import torch.nn.functional as F
from torch import nn

#: Patches along each side of the image, at most; numbers of a head.
PATCHES, HEAD = 6, 16


class Model(nn.Module):
    """As wide as the last stage of the base network, with as many blocks as that has convolutions in a stage."""

    def __init__(self, config):
        super().__init__()
        width = config["CHANNELS"][-1]
        patch = -(-config["HEIGHT"] // PATCHES)
        rows, columns = -(-config["HEIGHT"] // patch), -(-config["WIDTH"] // patch)
        self.padding = (0, columns * patch - config["WIDTH"], 0, rows * patch - config["HEIGHT"])
        self.embed = nn.Conv2d(config["NUM_CHANNELS"], width, patch, stride=patch)
        # As large as what is embedded, or a mean of tokens hardly knows places at first.
        self.positions = nn.Parameter(0.5 * torch.randn(rows * columns, width))
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(2 * config["BLOCKS"])))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(nn.Dropout(config["DROPOUT"]), nn.Linear(width, config["NUM_CLASSES"]))

    def forward(self, images):
        """Logits float32[B, NUM_CLASSES] of float32[B, C, H, W], from the mean of all tokens."""
        tokens = self.embed(F.pad(images, self.padding)).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))


class _Block(nn.Module):
    """Self-attention and a two-layer perceptron, each normalised before and added to its input."""

    def __init__(self, width):
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens):
        """Tokens float32[B, L, width] of tokens of that shape."""
        count, length, width = tokens.shape
        qkv = self.qkv(self.norms[0](tokens)).view(count, length, 3, self.heads, width // self.heads)
        mixed = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(count, length, width))
        return tokens + self.mlp(self.norms[1](tokens))
