"""Trains one language model with the discovered modules, and hands it over. What uses it is answer.py."""

import math
import os
from pathlib import Path

import exam
import numpy as np
import torch
import yaml
from data_order import choose_windows
from init import initialise
from loss import compute_loss
from networks import Model
from optim import create_optimizers
from schedule import learning_rate
from torch.nn.functional import cross_entropy


def count_parameters(model):
    """Numbers in the model's parameters and buffers; shared ones count once."""
    return sum({id(each): each.numel() for each in [*model.parameters(), *model.buffers()]}.values())


def bits_per_token(model, tokens, batch):
    """Mean bits that a model needs for the tokens of int64[N, T + 1] after the first of each row."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for rows in tokens.split(batch):
            total += float(cross_entropy(model(rows[:, :-1]).float().flatten(0, 1), rows[:, 1:].flatten())) * len(rows)
    model.train()
    return total / len(tokens) / math.log(2)


def chosen_windows(tokens, config, seed):
    """What data_order.py chooses, checked: int64[STEPS, BATCH]."""
    generator = np.random.default_rng(seed)
    starts = np.asarray(choose_windows(tokens, config, generator))
    shape, last = (config["STEPS"], config["BATCH"]), len(tokens) - config["CONTEXT"] - 1
    if starts.shape != shape or starts.dtype.kind not in "iu":
        raise ValueError(f"data_order.py: choose_windows returned {starts.dtype}{starts.shape}, not integers {shape}")
    if starts.min() < 0 or starts.max() > last:
        raise ValueError(f"data_order.py: windows begin at {starts.min()} to {starts.max()}; expected 0 to {last}")
    return torch.tensor(starts, dtype=torch.int64)


def train(config, data, device, seed):
    """Train for STEPS steps.

    Args:
        config: the run's configuration.
        data: "train" and "validation", integers [N], tokens.
        device: where to compute.
        seed: of everything random.

    Returns:
        "model", arrays by name as in Model's state_dict(); "tokens", how many tokens were learned from; and "curve",
        float32[10, 3], the tokens so far, bits per token in training, and bits per token of the validation text.
    """
    torch.manual_seed(seed)
    context = config["CONTEXT"]
    starts = chosen_windows(data["train"], config, seed)
    text, validation = (torch.tensor(data[name].astype(np.int64), device=device) for name in ("train", "validation"))
    held = validation[: len(validation) // (context + 1) * (context + 1)].view(-1, context + 1)
    offsets = torch.arange(context + 1, device=device)

    model = Model(config).to(device)
    initialise(model, config)
    parameters = count_parameters(model)
    if parameters > config["MAX_PARAMETERS"]:
        raise ValueError(f"networks.py: {parameters:,} parameters; MAX_PARAMETERS allows {config['MAX_PARAMETERS']:,}")
    optimizers = create_optimizers(model, config)
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]

    used, curve, every = 0, [], -(-config["STEPS"] // 10)
    print(f"{parameters:,} parameters, {len(text):,} training tokens to choose from")
    print(f"{'step':>6} {'tokens':>10} {'training bits':>14} {'validation bits':>16}   (per token)")
    for step in range(config["STEPS"]):
        rows = text[starts[step].to(device)[:, None] + offsets]
        logits = model(rows[:, :-1])
        loss = compute_loss(logits, rows[:, 1:], config | {"STEP": step})
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config["MAX_GRAD_NORM"])
        factor = learning_rate(step, config)
        for optimizer, initial in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, initial, strict=True):
                group["lr"] = rate * factor
            optimizer.step()
        used += rows[:, 1:].numel()
        if (step + 1) % every == 0:
            with torch.no_grad():
                bits = float(cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())) / math.log(2)
            curve.append((used, bits, bits_per_token(model, held, config["BATCH"])))
            print(f"{step + 1:6} {used:10,} {bits:14.4f} {curve[-1][2]:16.4f}", flush=True)
    state = {name: values.cpu().numpy() for name, values in model.state_dict().items()}
    return {"model": state, "tokens": np.array(used), "curve": np.array(curve, np.float32).reshape(-1, 3)}


def main():
    """Train and hand over."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":  # no algorithm whose result depends on timing, where there is another
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True, warn_only=True)
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    exam.hand_over(train(config, exam.training_data(), device, exam.seed()))


if __name__ == "__main__":
    main()
