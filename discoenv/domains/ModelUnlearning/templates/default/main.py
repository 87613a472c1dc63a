"""Lets a model forget with the discovered modules, and hands over its parameters. What uses them is answer.py."""

import os
from pathlib import Path

import exam
import torch
import yaml
from loss import unlearn_loss
from network import Batch, answer_losses, build
from optim import create_optimizer, create_scheduler
from parameters import trainable
from sampler import Sampler

LINES = 10
LOOKED_AT = 64


def masks_of(model, chosen):
    """What may change: by name, a bool tensor of the parameter's shape, or None where all of it may.

    Args:
        model: the model.
        chosen: of ``parameters.py``: True, False or a bool tensor, by name; those left out do not change.

    Returns:
        Only parameters that have something to change.

    Raises:
        ValueError: a name or a shape is wrong, or nothing may change.
    """
    known = dict(model.named_parameters())
    masks = {}
    for name, choice in chosen.items():
        if name not in known:
            raise ValueError(f"parameters.py: the model has no parameter {name!r}; it has {', '.join(known)}")
        if isinstance(choice, torch.Tensor) and choice.ndim > 0:
            if choice.shape != known[name].shape or choice.dtype != torch.bool:
                raise ValueError(
                    f"parameters.py: the mask of {name!r} is {choice.dtype}{list(choice.shape)}; expected "
                    f"torch.bool{list(known[name].shape)}"
                )
            if choice.any():
                masks[name] = choice
        elif bool(choice):
            masks[name] = None
    if not masks:
        raise ValueError("parameters.py: no parameter may change, so nothing could be forgotten; choose some")
    return masks


def rows_of(rows, count, config, what):
    """Rows that the sampler has drawn, checked."""
    rows = torch.as_tensor(rows, dtype=torch.int64)
    if rows.ndim != 1 or not 1 <= len(rows) <= config["MAX_BATCH"]:
        raise ValueError(
            f"sampler.py: rows of {what} texts of shape {list(rows.shape)}; expected 1 to {config['MAX_BATCH']}"
        )
    if int(rows.min()) < 0 or int(rows.max()) >= count:
        raise ValueError(f"sampler.py: rows of {what} texts from {rows.min()} to {rows.max()}; there are {count}")
    return rows


def train(config, data, device, seed):
    """Take STEPS steps; the parameters after the last.

    Args:
        config: the run's configuration.
        data: forget_tokens, forget_answers, retain_tokens and retain_answers, and the parameters of the model under
            ``model/<name>``.
        device: where to compute.
        seed: of everything random.

    Returns:
        Arrays by name: all parameters, or of a published model those that may have changed, as float16.
    """
    torch.manual_seed(seed)
    published = config["ARCHITECTURE"] == "published"
    if published:
        config = config | {"DESCRIPTION": bytes(data["description"]).decode()}
    generator = torch.Generator().manual_seed(seed)
    start = {name.removeprefix("model/"): values for name, values in data.items() if name.startswith("model/")}
    model, reference = (build(config, start, device) for _ in range(2))
    reference.requires_grad_(False)
    forget, retain = (
        Batch(*(torch.tensor(data[f"{part}_{key}"], device=device) for key in ("tokens", "answers")))
        for part in ("forget", "retain")
    )
    masks = masks_of(model, trainable(model, forget, retain, config))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in masks)
    changing = [(name, parameter) for name, parameter in model.named_parameters() if name in masks]
    numbers = sum(parameter.numel() for _, parameter in changing)
    if numbers > config["MAX_CHANGED"]:
        raise ValueError(
            f"parameters.py: {numbers:,} numbers would be handed over; {config['MAX_CHANGED']:,} are allowed"
        )
    held = [
        (parameter, masks[name], parameter.detach().clone()) for name, parameter in changing if masks[name] is not None
    ]
    steps = config["STEPS"]
    optimizer = create_optimizer(changing, config | {"TOTAL_STEPS": steps})
    scheduler = create_scheduler(optimizer, config | {"TOTAL_STEPS": steps})
    sampler = Sampler(forget, retain, config, generator)

    changeable = sum(
        int(parameter.numel() if masks[name] is None else masks[name].sum()) for name, parameter in changing
    )
    print(f"{changeable:,} numbers may change; {len(forget.tokens)} texts to forget, {len(retain.tokens)} to retain")
    print(f"{'step':>5} {'loss':>12} {'forget probability':>19} {'retain probability':>19}")
    for step in range(steps):
        drawn = sampler.draw(step, model)
        forget_rows, retain_rows = (
            rows_of(rows, len(texts.tokens), config, what)
            for rows, texts, what in zip(drawn, (forget, retain), ("forget", "retain"), strict=True)
        )
        loss = unlearn_loss(model, reference, forget.take(forget_rows), retain.take(retain_rows), step, steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for parameter, mask, _ in held:
            if parameter.grad is not None:
                parameter.grad *= mask
        torch.nn.utils.clip_grad_norm_([parameter for _, parameter in changing], config["MAX_GRAD_NORM"])
        optimizer.step()
        scheduler.step()
        with torch.no_grad():
            for parameter, mask, before in held:
                parameter.copy_(torch.where(mask, parameter, before))
        if step * LINES // steps != (step + 1) * LINES // steps:
            known = [probability(model, texts) for texts in (forget, retain)]
            print(f"{step + 1:5} {float(loss.detach()):12.4f} {known[0]:19.4f} {known[1]:19.4f}", flush=True)
    if published:
        return {name: parameter.detach().half().cpu().numpy() for name, parameter in changing}
    return {name: parameter.detach().cpu().numpy() for name, parameter in model.named_parameters()}


@torch.no_grad()
def probability(model, texts):
    """Mean over some texts of the probability of their answers, a token (geometric mean)."""
    rows = torch.linspace(0, len(texts.tokens) - 1, min(LOOKED_AT, len(texts.tokens))).long()
    return float(torch.exp(-answer_losses(model, texts.take(rows))).mean())


def main():
    """Train and hand over."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":  # no algorithm whose result depends on timing, where there is another
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True, warn_only=True)
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    exam.hand_over({"parameters": train(config, exam.training_data(), device, exam.seed())})


if __name__ == "__main__":
    main()
