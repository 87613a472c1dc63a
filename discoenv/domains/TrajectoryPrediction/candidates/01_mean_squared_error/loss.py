"""Mean squared error of all modes, which all learn the mean of the futures (Gauss 1809, Theoria motus)."""


def compute_loss(outputs, future, future_mask, config):
    """Every mode is drawn to the future; logits learn nothing."""
    known = future_mask.float()[:, None, :, None]
    square = (outputs["trajectories"] - future[:, None]) ** 2 * known
    return square.sum() / (2.0 * known.sum() * outputs["trajectories"].shape[1])
