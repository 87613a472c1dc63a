"""What is done to images before the model sees them, in training and when asked."""

import torch


def build_transforms(config):
    """Two functions on batches of images.

    Args:
        config: the run's configuration (dict): HEIGHT, WIDTH, NUM_CHANNELS; MEAN and STD of each channel over all
            training images, in units of 255; CROP (pixels), FLIP (probability).

    Returns:
        (train_transform, eval_transform). ``train_transform(images, generator)`` maps uint8[B, HEIGHT, WIDTH,
        NUM_CHANNELS] to float32[B, C, H, W] for the model, at random: all its randomness comes from ``generator``, a
        torch.Generator on the images' device. ``eval_transform(images)`` does so for images to be classified, and is
        not random. C, H and W are free.
    """
    # <solution>
    mean = torch.tensor(config["MEAN"]).view(1, -1, 1, 1)
    std = torch.tensor(config["STD"]).view(1, -1, 1, 1)

    def eval_transform(images):
        images = images.permute(0, 3, 1, 2).float() / 255.0
        return (images - mean.to(images.device)) / std.to(images.device)

    def train_transform(images, generator):
        images = cropped(images, config["CROP"], generator)
        flip = torch.rand(len(images), generator=generator, device=images.device) < config["FLIP"]
        return eval_transform(torch.where(flip[:, None, None, None], images.flip(2), images))

    return train_transform, eval_transform
    # </solution>


def cropped(images, most, generator):
    """``images`` uint8[B, H, W, C], each moved by up to ``most`` pixels along either axis; edges are repeated."""
    # <solution>
    count, height, width, _ = images.shape
    moved = torch.randint(-most, most + 1, (2, count, 1), generator=generator, device=images.device)
    rows = (torch.arange(height, device=images.device) + moved[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + moved[1]).clamp(0, width - 1)
    numbers = torch.arange(count, device=images.device)
    return images[numbers[:, None, None], rows[:, :, None], columns[:, None, :]]
    # </solution>
