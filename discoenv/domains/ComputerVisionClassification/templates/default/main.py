"""Trains one classifier with the discovered modules, and hands it over. What uses it is answer.py."""

import copy
import os
from pathlib import Path

import exam
import torch
import yaml
from loss import compute_loss
from networks import Model
from optim import create_optimizer, create_scheduler
from preprocess import build_transforms
from torch.nn.functional import cross_entropy


def count_parameters(model):
    """Numbers in the model's parameters and buffers; shared ones count once."""
    return sum({id(each): each.numel() for each in [*model.parameters(), *model.buffers()]}.values())


def evaluate(model, transform, images, labels, batch):
    """Accuracy and mean cross-entropy (nats) of a model on labelled images."""
    model.eval()
    right, loss = 0, 0.0
    with torch.no_grad():
        for rows in torch.arange(len(labels), device=labels.device).split(batch):
            logits = model(transform(images[rows])).float()
            right += int((logits.argmax(dim=1) == labels[rows]).sum())
            loss += float(cross_entropy(logits, labels[rows], reduction="sum"))
    return right / len(labels), loss / len(labels)


def train(config, data, device, seed):
    """Train for EPOCHS epochs; the state of the epoch that was best on the validation images.

    Args:
        config: the run's configuration.
        data: train_images uint8[N, HEIGHT, WIDTH, NUM_CHANNELS], train_labels int64[N], validation_images and
            validation_labels.
        device: where to compute.
        seed: of everything random.

    Returns:
        "model", arrays by name as in Model's state_dict(), and "statistics" of the training images.
    """
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed)
    images, labels, *validation = (torch.tensor(values, device=device) for values in data.values())
    scaled = images.reshape(-1, images.shape[-1]).double() / 255.0
    statistics = {
        "MEAN": scaled.mean(dim=0),
        "STD": scaled.std(dim=0).clamp(min=1e-3),
        "CLASS_COUNTS": torch.bincount(labels, minlength=config["NUM_CLASSES"]),
    }
    config = config | {key: values.tolist() for key, values in statistics.items()}
    del scaled
    train_transform, eval_transform = build_transforms(config)
    model = Model(config).to(device)
    parameters = count_parameters(model)
    if parameters > config["MAX_PARAMETERS"]:
        raise ValueError(f"networks.py: {parameters:,} parameters; MAX_PARAMETERS allows {config['MAX_PARAMETERS']:,}")
    batches = -(-len(labels) // config["BATCH"])
    config["TOTAL_STEPS"] = config["EPOCHS"] * batches
    optimizer = create_optimizer(model, config)
    scheduler = create_scheduler(optimizer, config)

    best, chosen = (-1.0, 0.0), None
    print(f"{parameters:,} parameters, {len(labels):,} training images")
    print(f"{'epoch':>5} {'training loss':>14} {'validation loss':>16} {'validation accuracy':>20}")
    for epoch in range(config["EPOCHS"]):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(labels), generator=order).to(device).split(config["BATCH"]):
            loss = compute_loss(model(train_transform(images[rows], generator)), labels[rows], config)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config["MAX_GRAD_NORM"])
            optimizer.step()
            scheduler.step()
            total += float(loss.detach())
        accuracy, validation_loss = evaluate(model, eval_transform, *validation, config["EXAM_BATCH"])
        if (accuracy, -validation_loss) > best:  # ties go to the smaller loss
            best, chosen = (accuracy, -validation_loss), copy.deepcopy(model.state_dict())
        print(f"{epoch + 1:5} {total / batches:14.4f} {validation_loss:16.4f} {accuracy:20.4f}", flush=True)
    state = model.state_dict() if chosen is None else chosen
    return {"model": to_numpy(state), "statistics": to_numpy(statistics)}


def to_numpy(tensors):
    """Tensors by name as NumPy arrays."""
    return {name: values.cpu().numpy() for name, values in tensors.items()}


def main():
    """Train and hand over."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":  # no algorithm whose result depends on timing, where there is another
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True, warn_only=True)
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    data = exam.training_data()
    names = ("train_images", "train_labels", "validation_images", "validation_labels")
    exam.hand_over(train(config, {name: data[name] for name in names}, device, exam.seed()))


if __name__ == "__main__":
    main()
