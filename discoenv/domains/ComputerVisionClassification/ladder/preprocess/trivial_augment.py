"""Crops and flips, and one random operation of random strength per image. Müller and Hutter 2021, TrivialAugment."""

import math

import torch
import torch.nn.functional as F

#: Strengths are multiples of one over this.
LEVELS = 30


def build_transforms(config):
    """The fourteen operations of the paper, in its smaller range of strengths."""
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
        return normalised(augmented(images, generator))

    return train_transform, lambda images: normalised(scaled(images))


def cropped(images, most, generator):
    """``images`` uint8[B, H, W, C], each moved by up to ``most`` pixels along either axis; edges are repeated."""
    count, height, width, _ = images.shape
    moved = torch.randint(-most, most + 1, (2, count, 1), generator=generator, device=images.device)
    rows = (torch.arange(height, device=images.device) + moved[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moved[1]).clamp(0, width - 1)
    numbers = torch.arange(count, device=images.device)
    return images[numbers[:, None, None], rows[:, :, None], columns[:, None, :]]


def augmented(images, generator):
    """``images`` float32[B, C, H, W] in 0 … 1, each after an operation of its own."""
    count = len(images)
    kinds = torch.randint(len(OPERATIONS), (count,), generator=generator, device=images.device)
    strengths = torch.randint(LEVELS + 1, (count, 1, 1, 1), generator=generator, device=images.device) / LEVELS
    signs = torch.randint(2, (count, 1, 1, 1), generator=generator, device=images.device) * 2 - 1
    images = images.clone()
    for kind, operation in enumerate(OPERATIONS):
        rows = (kinds == kind).nonzero()[:, 0]
        if len(rows):
            images[rows] = operation(images[rows], (strengths * signs)[rows]).clamp(0.0, 1.0)
    return images


# All take images float32[N, C, H, W] and strengths float32[N, 1, 1, 1] from -1 to 1.


def affine(images, *rows):
    """Where each pixel comes from: two rows of float32[N, 1, 1, 1] or numbers, in units of half the image."""
    count = len(images)
    matrix = torch.zeros(count, 2, 3, device=images.device)
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            matrix[:, row, column] = value.view(-1) if isinstance(value, torch.Tensor) else value
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def rotated(images, strength):
    """By up to 30 degrees."""
    angle = math.radians(30.0) * strength
    return affine(images, (angle.cos(), -angle.sin(), 0.0), (angle.sin(), angle.cos(), 0.0))


def blended(images, others, strength):
    """From images that are nearly the others to ones that differ from them nearly twice as much."""
    return others + (1.0 + 0.9 * strength) * (images - others)


def blurred(images):
    """Each pixel averaged with its neighbours; the edges are left as they are."""
    kernel = torch.ones(1, 1, 3, 3, device=images.device)
    kernel[0, 0, 1, 1] = 5.0
    channels, (height, width) = images.flatten(0, 1)[:, None], images.shape[2:]
    inner = F.conv2d(channels, kernel / kernel.sum()).view(*images.shape[:2], height - 2, width - 2)
    found = images.clone()
    found[:, :, 1:-1, 1:-1] = inner
    return found


def equalised(images, _strength):
    """Each channel's histogram made flat."""
    levels = (images * 255.0).round().long().flatten(2)
    counts = torch.zeros((*levels.shape[:2], 256), device=images.device).scatter_add_(
        2, levels, torch.ones_like(images).flatten(2)
    )
    below = counts.cumsum(2)
    least = below.gather(2, levels.amin(2, keepdim=True))
    flat = (below.gather(2, levels) - least) / (levels.shape[2] - least).clamp(min=1.0)
    return torch.where(least < levels.shape[2], flat, images.flatten(2)).view_as(images)


def stretched(images, _strength):
    """Each channel from 0 to 1."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images)


def posterised(images, strength):
    """Fewer bits per channel, 4 at full strength."""
    step = 2.0 ** (4.0 * strength.abs()).round()
    return ((images * 255.0).round() / step).floor() * step / 255.0


def solarised(images, strength):
    """What is brighter than 1 minus the strength is inverted."""
    return torch.where(images > 1.0 - strength.abs(), 1.0 - images, images)


OPERATIONS = (
    lambda images, strength: images,
    stretched,
    equalised,
    rotated,
    solarised,
    posterised,
    lambda images, strength: blended(images, images.mean(1, keepdim=True), strength),
    lambda images, strength: blended(images, images.mean((1, 2, 3), keepdim=True), strength),
    lambda images, strength: blended(images, torch.zeros_like(images), strength),
    lambda images, strength: blended(images, blurred(images), strength),
    lambda images, strength: affine(images, (1.0, 0.3 * strength, 0.0), (0.0, 1.0, 0.0)),
    lambda images, strength: affine(images, (1.0, 0.0, 0.0), (0.3 * strength, 1.0, 0.0)),
    lambda images, strength: affine(images, (1.0, 0.0, 0.6 * strength), (0.0, 1.0, 0.0)),
    lambda images, strength: affine(images, (1.0, 0.0, 0.0), (0.0, 1.0, 0.6 * strength)),
)
