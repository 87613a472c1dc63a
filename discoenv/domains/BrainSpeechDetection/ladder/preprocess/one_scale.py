"""One scale for all sensors (LeCun et al. 1998, "Efficient BackProp", on what to do better)."""

import torch


def fit(windows, labels, sessions, config):
    """The standard deviation of everything."""
    return {"scale": windows.std().reshape(1)}


def transform(windows, fitted, config):
    """Divided by it: strong sensors remain strong."""
    return torch.clamp(windows / fitted["scale"], -config["CLIP"], config["CLIP"])
