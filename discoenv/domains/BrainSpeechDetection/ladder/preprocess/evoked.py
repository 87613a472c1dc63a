"""Spatial filters for evoked responses, in the manner of xDAWN (Rivet et al. 2009, "xDAWN algorithm")."""

import torch

COMPONENTS = 10


def fit(windows, labels, sessions, config):
    """Directions in which the mean windows of speech and silence differ most, in units of all variance."""
    mean = windows.mean(dim=(0, 2), keepdim=True)
    centred = (windows - mean).double()
    covariance = torch.einsum("nct,ndt->cd", centred, centred) / (len(windows) * windows.shape[2])
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors @ torch.diag(1.0 / torch.sqrt(values + 1e-2 * values.mean())) @ vectors.T
    difference = centred[labels > 0.5].mean(dim=0) - centred[labels <= 0.5].mean(dim=0)
    inner = root @ difference
    _, directions = torch.linalg.eigh(inner @ inner.T)
    return {"mean": mean.flatten(), "filters": (directions[:, -COMPONENTS:].T @ root).float()}


def transform(windows, fitted, config):
    """The strongest components."""
    found = torch.einsum("kc,bct->bkt", fitted["filters"], windows - fitted["mean"][:, None])
    return torch.clamp(found, -0.5 * config["CLIP"], 0.5 * config["CLIP"])
