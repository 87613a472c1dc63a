"""How good probabilities of speech are."""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

#: Bins of equal width for the calibration error.
_BINS = 10


def macro_f1(probabilities: Floats, labels: Labels, threshold: float) -> float:
    """Mean of the F1 of speech and the F1 of silence; windows with ``probabilities >= threshold`` count as speech.

    F1 = 2 TP / (2 TP + FP + FN), and 0 where there are neither such windows nor such answers.
    """
    said = probabilities >= threshold
    scores = []
    for is_class, is_said in ((labels == 1, said), (labels == 0, ~said)):
        both = int((is_class & is_said).sum())
        scores.append(2.0 * both / max(1, int(is_class.sum()) + int(is_said.sum())))
    return 0.5 * (scores[0] + scores[1])


def best_macro_f1(probabilities: Floats, labels: Labels) -> float:
    """The largest macro-F1 of any threshold: what could be had by looking at the labels."""
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], np.cumsum(labels[order])
    speech, count = int(labels.sum()), len(labels)
    said = np.arange(1, count + 1)
    silence_hits = (count - said) - (speech - hits)
    scores = hits / (said + speech) + silence_hits / np.maximum(1, 2 * count - said - speech)
    last = np.append(ranked[1:] != ranked[:-1], True)
    nothing = (count - speech) / max(1, 2 * count - speech)  # no window counts as speech
    return float(max(scores[last].max(), nothing))


def auroc(probabilities: Floats, labels: Labels) -> float:
    """Area under the ROC curve: how often speech is ranked above silence, ties counted half; 0.5 without both kinds."""
    _, inverse, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    speech = int(labels.sum())
    silence = len(labels) - speech
    if not speech or not silence:
        return 0.5
    return float((ranks[labels == 1].sum() - 0.5 * speech * (speech + 1)) / (speech * silence))


def calibration_error(probabilities: Floats, labels: Labels) -> float:
    """Mean over windows of |mean probability − share of speech| of the bin that a window falls in (Naeini et al. 2015).

    Ten bins of equal width.
    """
    bins = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=probabilities - labels, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def metrics(probabilities: Floats, labels: Labels, threshold: float) -> dict[str, float]:
    """All metrics of probabilities float64[N] and labels int64[N] (1 for speech), see ``domain.yaml``."""
    said = probabilities >= threshold
    hit = float(said[labels == 1].mean()) if (labels == 1).any() else 0.0
    rejected = float((~said)[labels == 0].mean()) if (labels == 0).any() else 0.0
    return {
        "macro_f1": macro_f1(probabilities, labels, threshold),
        "balanced_accuracy": 0.5 * (hit + rejected),
        "auroc": auroc(probabilities, labels),
        "best_macro_f1": best_macro_f1(probabilities, labels),
        "calibration_error": calibration_error(probabilities, labels),
    }
