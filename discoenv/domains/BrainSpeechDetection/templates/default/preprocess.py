"""What is done to windows before the model sees them, in training and when asked."""

import torch


def fit(windows, labels, sessions, config):
    """What ``transform`` needs to know of the training data; called once, before training.

    Args:
        windows: float32[N, SENSORS, SAMPLES], pT.
        labels: float32[N], 1 for speech in the middle of the window.
        sessions: int64[N], number of the recording that a window is from.
        config: the run's configuration (dict): SENSORS, SAMPLES, RATE (samples per second), CLIP, MAX_FITTED.

    Returns:
        Tensors by name, MAX_FITTED numbers at most; may be empty. They are handed over, and nothing else of training
        is there when questions are asked.
    """
    # <solution>
    return {"mean": windows.mean(dim=(0, 2)), "std": windows.std(dim=(0, 2)).clamp(min=1e-6)}
    # </solution>


def transform(windows, fitted, config):
    """Windows as the model gets them.

    Args:
        windows: float32[B, SENSORS, SAMPLES], pT.
        fitted: what ``fit`` returned, on the windows' device.
        config: as above.

    Returns:
        float32[B, C, T]; C and T are free. Each window by itself, and without randomness.
    """
    # <solution>
    scaled = (windows - fitted["mean"][:, None]) / fitted["std"][:, None]
    return torch.clamp(scaled, -config["CLIP"], config["CLIP"])
    # </solution>
