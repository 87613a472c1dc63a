"""Augmentation of training batches."""

import torch


def augment(windows, labels, generator, config):
    """A training batch as the model gets it; called once per training step, and never in validation or the exam.

    Args:
        windows: float32[B, C, T], as preprocess.py gave them.
        labels: float32[B], 1 for speech, 0 for none.
        generator: torch.Generator on the windows' device, from which all randomness must come.
        config: the run's configuration (dict): SHIFT (samples), NOISE (standard deviation).

    Returns:
        (float32[B', C, T], float32[B']): windows and labels, which may lie between 0 and 1.
    """
    # <solution>
    count, _, length = windows.shape
    most = config["SHIFT"]
    moved = torch.randint(-most, most + 1, (count, 1), generator=generator, device=windows.device)
    columns = (torch.arange(length, device=windows.device) + moved).clamp(0, length - 1)
    shifted = windows.gather(2, columns[:, None, :].expand_as(windows))
    noise = torch.randn(windows.shape, generator=generator, device=windows.device)
    return shifted + config["NOISE"] * noise, labels
    # </solution>
