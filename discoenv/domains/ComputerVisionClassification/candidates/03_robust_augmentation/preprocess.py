"""Crops, flips, and in half of the images noise, blur, another contrast, or a hidden square."""

import torch
import torch.nn.functional as F


def build_transforms(config):
    """Transforms as in the baseline, and four corruptions in training."""
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
        return normalised(corrupted(images, generator))

    return train_transform, lambda images: normalised(scaled(images))


def corrupted(images, generator):
    """``images`` float32[B, C, H, W] in 0 … 1: an eighth each is noisy, blurred, faded, partly hidden."""
    count, _, height, width = images.shape

    def uniform(*shape):
        return torch.rand(shape, generator=generator, device=images.device)

    kind = (uniform(count, 1, 1, 1) * 8).long()
    noisy = images + 0.35 * uniform(count, 1, 1, 1) * torch.randn(
        images.shape, generator=generator, device=images.device
    )
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    blurred = F.avg_pool2d(padded, 3, stride=1)
    grey = uniform(count, 1, 1, 1)
    faded = grey + (0.25 + 0.75 * uniform(count, 1, 1, 1)) * (images - grey)
    side = max(1, height // 3)
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1) - (uniform(count, 1, 1, 1) * height).long()
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1) - (uniform(count, 1, 1, 1) * width).long()
    hidden = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    covered = torch.where(hidden, uniform(count, 1, 1, 1), images)
    for number, each in enumerate((noisy, blurred, faded, covered)):
        images = torch.where(kind == number, each, images)
    return images.clamp(0.0, 1.0)


def cropped(images, most, generator):
    """``images`` uint8[B, H, W, C], each moved by up to ``most`` pixels along either axis; edges are repeated."""
    count, height, width, _ = images.shape
    moved = torch.randint(-most, most + 1, (2, count, 1), generator=generator, device=images.device)
    rows = (torch.arange(height, device=images.device) + moved[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moved[1]).clamp(0, width - 1)
    numbers = torch.arange(count, device=images.device)
    return images[numbers[:, None, None], rows[:, :, None], columns[:, None, :]]
