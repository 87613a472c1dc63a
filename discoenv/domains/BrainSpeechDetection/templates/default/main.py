"""Trains one detector with the discovered modules, and hands it over. What uses it is answer.py."""

import copy
import os
from pathlib import Path

import exam
import numpy as np
import torch
import yaml
from augment import augment
from loss import compute_loss
from networks import Model
from optim import create_optimizer, create_scheduler
from preprocess import fit, transform


def count_parameters(model):
    """Numbers in the model's parameters and buffers; shared ones count once."""
    return sum({id(each): each.numel() for each in [*model.parameters(), *model.buffers()]}.values())


def best_threshold(probabilities, labels):
    """The threshold with the largest macro-F1, and that macro-F1.

    A window counts as speech if its probability is at least the threshold. Every value of ``probabilities`` is tried
    (cumulative counts over the sorted ones), and of equally good ones the middle is taken.

    Args:
        probabilities: float64[N].
        labels: int64[N], 1 for speech.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked, hits = probabilities[order], np.cumsum(labels[order])
    speech, count = int(labels.sum()), len(labels)
    said = np.arange(1, count + 1)
    f1_speech = 2.0 * hits / (said + speech)
    rejected = (count - said) - (speech - hits)  # silence that is not called speech
    f1_silence = 2.0 * rejected / np.maximum(1, (count - said) + (count - speech))
    score = 0.5 * (f1_speech + f1_silence)
    score[:-1][ranked[1:] == ranked[:-1]] = -1.0  # equal ones are on the same side
    (best,) = np.nonzero(score == score.max())
    chosen = best[len(best) // 2]
    below = ranked[chosen + 1] if chosen + 1 < count else ranked[chosen]
    return 0.5 * (ranked[chosen] + below), float(score.max())


def probabilities(model, inputs, batch):
    """Probabilities of speech of preprocessed windows, float64[N]."""
    model.eval()
    with torch.no_grad():
        return np.concatenate([torch.sigmoid(model(part).double()).cpu().numpy() for part in inputs.split(batch)])


def train(config, data, device, seed):
    """Train for EPOCHS epochs; the state of the epoch with the least loss (log-loss) on the validation windows.

    Args:
        config: the run's configuration.
        data: train_windows float16[N, SENSORS, SAMPLES], train_labels int64[N], train_sessions int64[N], and the same
            for validation_windows, validation_labels, validation_sessions.
        device: where to compute.
        seed: of everything random.

    Returns:
        "model", "preprocess" and "threshold", see answer.py.
    """
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed)
    windows = torch.tensor(data["train_windows"], device=device).float()
    labels = torch.tensor(data["train_labels"], device=device).float()
    sessions = torch.tensor(data["train_sessions"], device=device)

    fitted = {name: torch.as_tensor(values) for name, values in fit(windows, labels, sessions, config).items()}
    numbers = sum(values.numel() for values in fitted.values())
    if numbers > config["MAX_FITTED"]:
        raise ValueError(
            f"preprocess.py: fit() returns {numbers:,} numbers; MAX_FITTED allows {config['MAX_FITTED']:,}"
        )
    inputs = transform(windows, fitted, config)
    held = transform(torch.tensor(data["validation_windows"], device=device).float(), fitted, config)
    truth = np.asarray(data["validation_labels"])
    _, channels, length = inputs.shape
    model = Model(config | {"CHANNELS": channels, "LENGTH": length}).to(device)
    parameters = count_parameters(model)
    if parameters > config["MAX_PARAMETERS"]:
        raise ValueError(f"networks.py: {parameters:,} parameters; MAX_PARAMETERS allows {config['MAX_PARAMETERS']:,}")
    batches = -(-len(labels) // config["BATCH"])
    config = config | {"TOTAL_STEPS": config["EPOCHS"] * batches, "SPEECH_SHARE": float(labels.mean())}
    optimizer = create_optimizer(model, config)
    scheduler = create_scheduler(optimizer, config)

    least, chosen = np.inf, None
    print(f"{parameters:,} parameters, {len(labels):,} training windows, {config['SPEECH_SHARE']:.0%} of them speech")
    print(f"{'epoch':>5} {'training loss':>14} {'validation log-loss':>20} {'validation macro-F1':>20}")
    for epoch in range(config["EPOCHS"]):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(labels), generator=order).to(device).split(config["BATCH"]):
            batch, targets = augment(inputs[rows], labels[rows], generator, config)
            loss = compute_loss(model(batch), targets, config)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config["MAX_GRAD_NORM"])
            optimizer.step()
            scheduler.step()
            total += float(loss.detach())
        found = probabilities(model, held, config["EXAM_BATCH"])
        safe = found.clip(1e-7, 1.0 - 1e-7)
        log_loss = float(-np.mean(np.log(np.where(truth == 1, safe, 1.0 - safe))))
        threshold, score = best_threshold(found, truth)
        if log_loss < least or chosen is None:
            least, chosen = log_loss, (copy.deepcopy(model.state_dict()), threshold)
        print(f"{epoch + 1:5} {total / batches:14.4f} {log_loss:20.4f} {score:20.4f}", flush=True)
    state, threshold = chosen
    return {"model": to_numpy(state), "preprocess": to_numpy(fitted), "threshold": float(threshold)}


def to_numpy(tensors):
    """Tensors by name as NumPy arrays."""
    return {name: values.detach().cpu().numpy() for name, values in tensors.items()}


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
