"""Crops and flips, and in half of the images a rectangle is replaced by noise. Zhong et al. 2020, Random erasing."""

import math

import torch

#: Chance of a rectangle; its share of the image; the largest ratio of its sides.
CHANCE, SHARES, RATIO = 0.5, (0.02, 0.4), 1.0 / 0.3


def build_transforms(config):
    """Erased pixels are uniform noise."""
    mean = torch.tensor(config["MEAN"]).view(1, -1, 1, 1)
    std = torch.tensor(config["STD"]).view(1, -1, 1, 1)

    def scaled(images):
        return images.permute(0, 3, 1, 2).float() / 255.0

    def normalised(images):
        return (images - mean.to(images.device)) / std.to(images.device)

    def train_transform(images, generator):
        images = cropped(images, config["CROP"], generator)
        flip = torch.rand(len(images), generator=generator, device=images.device) < config["FLIP"]
        images = scaled(torch.where(flip[:, None, None, None], images.flip(2), images))
        return normalised(erased(images, generator))

    return train_transform, lambda images: normalised(scaled(images))


def cropped(images, most, generator):
    """``images`` uint8[B, H, W, C], each moved by up to ``most`` pixels along either axis; edges are repeated."""
    count, height, width, _ = images.shape
    moved = torch.randint(-most, most + 1, (2, count, 1), generator=generator, device=images.device)
    rows = (torch.arange(height, device=images.device) + moved[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moved[1]).clamp(0, width - 1)
    numbers = torch.arange(count, device=images.device)
    return images[numbers[:, None, None], rows[:, :, None], columns[:, None, :]]


def erased(images, generator):
    """``images`` float32[B, C, H, W] in 0 … 1 with a rectangle of random shape and place in some of them."""
    count, _, height, width = images.shape

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(shape, generator=generator, device=images.device)

    share, ratio = uniform(*SHARES, count), uniform(-math.log(RATIO), math.log(RATIO), count).exp()
    inside = (uniform(0.0, 1.0, count) < CHANCE).view(-1, 1, 1, 1)
    for axis, size, sides in ((2, height, share * ratio), (3, width, share / ratio)):
        side = (sides.sqrt() * size).round().clamp(1, size)
        first = (uniform(0.0, 1.0, count) * (size - side + 1)).floor().view(-1, 1, 1, 1)
        places = torch.arange(size, device=images.device).view([-1 if each == axis else 1 for each in range(4)])
        inside = inside & (places >= first) & (places < first + side.view(-1, 1, 1, 1))
    return torch.where(inside, uniform(0.0, 1.0, *images.shape), images)
