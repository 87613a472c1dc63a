"""The training loss."""

import torch
import torch.nn.functional as F


def compute_loss(outputs, future, future_mask, config):
    """Loss of a training batch.

    Args:
        outputs: what the model said of B scenes, a dict: "trajectories" float32[B, Q, FUTURE, 2], metres; "scales"
            float32[B, Q, FUTURE, 2], positive, metres; "logits" float32[B, Q]; "anchors" float32[Q, FUTURE, 2].
        future: float32[B, FUTURE, 2], where the focal road user went.
        future_mask: bool[B, FUTURE], which of that is known; at least one time of each scene.
        config: the run's configuration (dict).

    Returns:
        float32[], differentiable with respect to the outputs.
    """
    # <solution>
    # Winner takes all: the trajectory with the least error is fitted, by a Laplace distribution; the logits say which.
    known = future_mask.float()
    count = known.sum(dim=1)
    error = (outputs["trajectories"] - future[:, None]).norm(dim=-1)
    winner = ((error * known[:, None]).sum(dim=-1) / count[:, None]).argmin(dim=1)
    rows = torch.arange(len(future), device=future.device)
    apart = (outputs["trajectories"][rows, winner] - future).abs()
    scales = outputs["scales"][rows, winner]
    likelihood = (torch.log(2.0 * scales) + apart / scales).sum(dim=-1)
    fit = ((likelihood * known).sum(dim=1) / count).mean()
    return fit + F.cross_entropy(outputs["logits"], winner)
    # </solution>
