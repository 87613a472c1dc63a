"""The network without its last layer: a small vision transformer (Dosovitskiy et al. 2021), without pretraining."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Self-attention and a two-layer perceptron, each normalised before and added to its input."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens):
        """Tokens float32[N, L, width] to tokens of the same shape."""
        count, length, width = tokens.shape
        qkv = self.qkv(self.norms[0](tokens)).view(count, length, 3, self.heads, width // self.heads)
        mixed = functional.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(count, length, width))
        return tokens + self.mlp(self.norms[1](tokens))


class Trunk(nn.Module):
    """Maps images float32[N, C, H, W] to features float32[N, size]: the mean of the patches' tokens.

    Attributes:
        size: number of features.
    """

    def __init__(self, config):
        super().__init__()
        height, width, channels = config["IMAGE_SHAPE"]
        patch = config["PATCH"]
        self.size = config["TOKEN_WIDTH"]
        self.patches = nn.Unfold(patch, stride=patch)
        self.embed = nn.Linear(channels * patch**2, self.size)
        self.positions = nn.Parameter(0.02 * torch.randn((height // patch) * (width // patch), self.size))
        self.blocks = nn.Sequential(*(Block(self.size, config["HEADS"]) for _ in range(config["BLOCKS"])))
        self.norm = nn.LayerNorm(self.size)

    def forward(self, images):
        """Features of images."""
        tokens = self.embed(self.patches(images).transpose(1, 2)) + self.positions
        return self.norm(self.blocks(tokens)).mean(dim=1)
