"""Trains the language models that learners get, and those that they are compared with.

    python -m discoenv.domains.ModelUnlearning.studies.checkpoints

For each offline dataset the *full* model is trained on all entities of its corpus, and for each split a *gold* one on
all but the entities of that split, from the same initial parameters, in as many passes. They are written, as float16,
to ``checkpoints/<dataset>.safetensors``. One core needs about twenty minutes for all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console

from discoenv.domains.ModelUnlearning import checkpoints
from discoenv.domains.ModelUnlearning.corpora import BEGIN, END, PAD, PHRASINGS, Corpus, Entity, corpus, texts
from discoenv.exams.examiner_process import load_domain_file
from discoenv.tasks.registry import get_domain

#: Passes over the texts: enough to know almost all of them.
PASSES: Final[Mapping[str, int]] = {
    "FictAuthors/attention": 32,
    "FictAuthors/recurrent": 30,
    "FictNews/attention": 22,
    "FictNews/decay": 44,
    "FictProtocols/convolution": 32,
    "FictRecords/recurrent": 36,
}
BATCH, LEARNING_RATE, WARM_UP, SEED = 32, 3e-3, 100, 0


def rows(corpus_: Corpus, entities: Iterable[Entity]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Tokens int64[N, L] of all texts of entities, in all phrasings, padded at the end."""
    found = [[BEGIN, *corpus_.tokens(text), END] for entity in entities for text in texts(entity, range(PHRASINGS))]
    tokens = np.full((len(found), max(map(len, found))), PAD, np.int64)
    for row, text in zip(tokens, found, strict=True):
        row[: len(text)] = text
    return tokens


def trained(config: Mapping[str, Any], tokens: np.ndarray[Any, Any], passes: int) -> tuple[checkpoints.Arrays, float]:
    """The parameters of a model that is trained on texts, and its loss in the last pass (nats per token)."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    network = load_domain_file(get_domain("ModelUnlearning").directory, "networks").network()
    model = network.Network(config)
    texts_ = torch.tensor(tokens)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    steps = passes * -(-len(texts_) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP) * (1.0 - step / steps)
    )
    losses: list[float] = []
    for _ in range(passes):
        losses = []
        for chosen in torch.randperm(len(texts_)).split(BATCH):
            batch = texts_[chosen]
            batch = batch[:, : int((batch != PAD).sum(dim=1).max())]
            loss = cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten(), ignore_index=PAD)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
    arrays = {name: values.numpy().astype("<f2") for name, values in model.state_dict().items()}
    return arrays, float(np.mean(losses))


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
) -> None:
    """Train the models, and write them into the domain's folder."""
    console = Console(stderr=True)
    domain = get_domain("ModelUnlearning")
    offline = [name for name, entry in domain.specification.datasets.items() if entry.source == "offline"]
    for name in dataset or offline:
        config = domain.config(name, "small")
        texts_ = corpus(config["CORPUS"])
        known = {"full": texts_.splits} | {
            f"gold{split}": (*texts_.splits[:split], *texts_.splits[split + 1 :]) for split in range(len(texts_.splits))
        }
        arrays: checkpoints.Arrays = {}
        for model, splits in known.items():
            begin = time.process_time()
            entities = [*(entity for split in splits for entity in split), *texts_.others, texts_.common]
            parameters, loss = trained(config, rows(texts_, entities), PASSES[name])
            arrays |= {f"{model}/{key}": values for key, values in parameters.items()}
            seconds = time.process_time() - begin
            console.print(f"{name} {model}: loss {loss:.3f} in {seconds:.0f} CPU s", highlight=False)
        checkpoints.FOLDER.mkdir(exist_ok=True)
        checkpoints.write(checkpoints.path_of(name), arrays, {"corpus": checkpoints.fingerprint(texts_)})


if __name__ == "__main__":
    typer.run(main)
