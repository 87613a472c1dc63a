"""How the model is trained."""

import copy

import torch
from loss import compute_loss
from modes import choose
from optim import create_optimizer, create_scheduler


def train_model(model, training, validation, config, generator):
    """Train a model, and say which of its states is examined.

    Args:
        model: Model of networks.py, on the device where all is computed.
        training: dict of tensors on that device, the first axis of each is N scenes: "agents" float32[N, AGENTS,
            HISTORY, 2], "agents_mask" bool[N, AGENTS, HISTORY], "lanes" float32[N, LANES, LANE_POINTS, 2], "lanes_mask"
            bool[N, LANES, LANE_POINTS], "future" float32[N, FUTURE, 2], "future_mask" bool[N, FUTURE].
        validation: as training, other scenes.
        config: the run's configuration (dict): EPOCHS, BATCH, EXAM_BATCH, MAX_GRAD_NORM, and what optim.py and loss.py
            read.
        generator: torch.Generator on the CPU, for the order of scenes.

    Returns:
        A state_dict() of the model: tensors by name.
    """
    # <solution>
    scenes = len(training["future"])
    batches = -(-scenes // config["BATCH"])
    config = config | {"TOTAL_STEPS": config["EPOCHS"] * batches}
    optimizer = create_optimizer(model, config)
    scheduler = create_scheduler(optimizer, config)
    best, chosen = float("inf"), None
    print(f"{'epoch':>5} {'training loss':>14} {'validation minADE':>18}")
    for epoch in range(config["EPOCHS"]):
        model.train()
        total = 0.0
        for rows in torch.randperm(scenes, generator=generator).to(training["future"].device).split(config["BATCH"]):
            scene = {name: values[rows] for name, values in training.items()}
            future, future_mask = scene.pop("future"), scene.pop("future_mask")
            loss = compute_loss(model(scene), future, future_mask, config)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config["MAX_GRAD_NORM"])
            optimizer.step()
            scheduler.step()
            total += float(loss.detach())
        error = validation_error(model, validation, config)
        if error < best:
            best, chosen = error, copy.deepcopy(model.state_dict())
        print(f"{epoch + 1:5} {total / batches:14.4f} {error:18.4f}", flush=True)
    return model.state_dict() if chosen is None else chosen
    # </solution>


@torch.no_grad()
def validation_error(model, scenes, config):
    """Mean over scenes of the least mean distance of a mode to the future, metres."""
    # <solution>
    model.eval()
    total = 0.0
    for rows in torch.arange(len(scenes["future"]), device=scenes["future"].device).split(config["EXAM_BATCH"]):
        scene = {name: values[rows] for name, values in scenes.items()}
        future, known = scene.pop("future"), scene.pop("future_mask").float()[:, None]
        trajectories, _ = choose(model(scene), config)
        error = (trajectories - future[:, None]).norm(dim=-1)
        total += float(((error * known).sum(dim=-1) / known.sum(dim=-1)).amin(dim=1).sum())
    return total / len(scenes["future"])
    # </solution>
