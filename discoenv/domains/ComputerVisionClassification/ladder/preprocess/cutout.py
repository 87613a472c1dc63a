"""Crops and flips, and a square of half the image's side is hidden. DeVries and Taylor 2017, Cutout."""

import torch


def build_transforms(config):
    """Hidden pixels have the mean value."""
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
        return hidden(normalised(images), generator)

    return train_transform, lambda images: normalised(scaled(images))


def cropped(images, most, generator):
    """``images`` uint8[B, H, W, C], each moved by up to ``most`` pixels along either axis; edges are repeated."""
    count, height, width, _ = images.shape
    moved = torch.randint(-most, most + 1, (2, count, 1), generator=generator, device=images.device)
    rows = (torch.arange(height, device=images.device) + moved[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moved[1]).clamp(0, width - 1)
    numbers = torch.arange(count, device=images.device)
    return images[numbers[:, None, None], rows[:, :, None], columns[:, None, :]]


def hidden(images, generator):
    """``images`` float32[B, C, H, W] with zeros in a square around a random pixel, cut off at the edges."""
    count, _, height, width = images.shape
    inside = torch.ones(count, 1, 1, 1, dtype=torch.bool, device=images.device)
    for axis, size in ((2, height), (3, width)):
        centre = torch.randint(size, (count, 1, 1, 1), generator=generator, device=images.device)
        places = torch.arange(size, device=images.device).view([-1 if each == axis else 1 for each in range(4)])
        first = centre - size // 4
        inside = inside & (places >= first) & (places < first + size // 2)
    return images.masked_fill(inside, 0.0)
