"""Trains one model of motion with the discovered modules, and hands it over. What uses it is answer.py."""

import os
from pathlib import Path

import exam
import numpy as np
import torch
import yaml
from modes import make_anchors
from networks import Model
from train import train_model

SCENE = ("agents", "agents_mask", "lanes", "lanes_mask", "future", "future_mask")


def count_parameters(model):
    """Numbers in the model's parameters and buffers; shared ones count once."""
    return sum({id(each): each.numel() for each in [*model.parameters(), *model.buffers()]}.values())


def checked_anchors(anchors, config):
    """What make_anchors returned, as float32[Q, FUTURE, 2], Q from 1 to MAX_QUERIES."""
    anchors = torch.as_tensor(anchors, dtype=torch.float32)
    shape, most = tuple(anchors.shape), config["MAX_QUERIES"]
    if len(shape) != 3 or not 1 <= shape[0] <= most or shape[1:] != (config["FUTURE"], 2):
        raise ValueError(f"modes.py: anchors of shape {shape}; expected (1 to {most}, {config['FUTURE']}, 2)")
    return anchors


def train(config, data, device, seed):
    """Make anchors and a model, train it, and return what is handed over.

    Args:
        config: the run's configuration.
        data: arrays train_… and validation_… of all names in SCENE.
        device: where to compute.
        seed: of everything random.

    Returns:
        "model", arrays by name as in Model's state_dict(), and "modes", a dict with "anchors" float32[Q, FUTURE, 2].
    """
    torch.manual_seed(seed)
    training, validation = (
        {name: torch.tensor(data[f"{part}_{name}"], device=device) for name in SCENE}
        for part in ("train", "validation")
    )
    generator = torch.Generator().manual_seed(seed)
    scenes = {name: values.cpu() for name, values in training.items()}
    anchors = checked_anchors(make_anchors(scenes, config, generator), config).to(device)
    model = Model(config, anchors).to(device)
    parameters = count_parameters(model)
    if parameters > config["MAX_PARAMETERS"]:
        raise ValueError(f"networks.py: {parameters:,} parameters; MAX_PARAMETERS allows {config['MAX_PARAMETERS']:,}")
    print(f"{parameters:,} parameters, {len(anchors)} anchors, {len(scenes['future']):,} training scenes")
    state = train_model(model, training, validation, config, generator)
    numbers = {name: values.cpu().numpy() for name, values in state.items()}
    return {"model": numbers, "modes": {"anchors": anchors.cpu().numpy()}}


def main():
    """Train and hand over."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":  # no algorithm whose result depends on timing, where there is another
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True, warn_only=True)
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    data = {name: np.asarray(values) for name, values in exam.training_data().items()}
    exam.hand_over(train(config, data, device, exam.seed()))


if __name__ == "__main__":
    main()
