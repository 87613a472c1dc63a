"""Pixels with mean zero and variance one, as they are in training too. LeCun et al. 1998, Efficient backprop."""

import torch


def build_transforms(config):
    """No augmentation."""
    mean = torch.tensor(config["MEAN"]).view(1, -1, 1, 1)
    std = torch.tensor(config["STD"]).view(1, -1, 1, 1)

    def eval_transform(images):
        images = images.permute(0, 3, 1, 2).float() / 255.0
        return (images - mean.to(images.device)) / std.to(images.device)

    return lambda images, generator: eval_transform(images), eval_transform
