"""Scenes are turned at random in training (as Yuan et al. 2021, AgentFormer)."""

import copy
import math

import torch
from loss import compute_loss
from modes import choose
from optim import create_optimizer, create_scheduler


def train_model(model, training, validation, config, generator):
    """As the base module, but for what the title says."""
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
            scene, future = turned(scene, future, generator)
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


def turned(scene, future, generator):
    """Scenes turned around the focal road user, each by another angle of up to 20 degrees to either side."""
    angle = (2.0 * torch.rand(len(future), generator=generator) - 1.0).to(future.device) * math.radians(20.0)
    c, s = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([torch.stack([c, s], dim=-1), torch.stack([-s, c], dim=-1)], dim=-2)  # [B, 2, 2]
    agents, lanes = scene["agents"], scene["lanes"]
    scene = scene | {
        "agents": (agents.flatten(1, 2) @ turn).view_as(agents),
        "lanes": (lanes.flatten(1, 2) @ turn).view_as(lanes),
    }
    return scene, future @ turn


@torch.no_grad()
def validation_error(model, scenes, config):
    """Mean over scenes of the least mean distance of a mode to the future, metres."""
    model.eval()
    total = 0.0
    for rows in torch.arange(len(scenes["future"]), device=scenes["future"].device).split(config["EXAM_BATCH"]):
        scene = {name: values[rows] for name, values in scenes.items()}
        future, known = scene.pop("future"), scene.pop("future_mask").float()[:, None]
        trajectories, _ = choose(model(scene), config)
        error = (trajectories - future[:, None]).norm(dim=-1)
        total += float(((error * known).sum(dim=-1) / known.sum(dim=-1)).amin(dim=1).sum())
    return total / len(scenes["future"])
