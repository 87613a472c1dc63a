"""Whitening of sensors (He and Wu 2020, "Transfer learning for brain-computer interfaces: Euclidean alignment")."""

import torch


def fit(windows, labels, sessions, config):
    """The inverse square root of the mean covariance of windows that are no artefacts."""
    mean = windows.mean(dim=(0, 2), keepdim=True)
    centred = (windows - mean).double()
    power = centred.square().mean(dim=2)
    usual = (power < 6.0 * power.median(dim=0).values).all(dim=1)
    kept = centred[usual] if int(usual.sum()) > 50 else centred
    covariance = torch.einsum("nct,ndt->cd", kept, kept) / (len(kept) * kept.shape[2])
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors @ torch.diag(1.0 / torch.sqrt(values + 1e-3 * values.mean())) @ vectors.T
    return {"mean": mean.flatten(), "root": root.float()}


def transform(windows, fitted, config):
    """Sensors without what they have in common, of variance 1."""
    whitened = torch.einsum("cd,bdt->bct", fitted["root"], windows - fitted["mean"][:, None])
    return torch.clamp(whitened, -0.5 * config["CLIP"], 0.5 * config["CLIP"])
