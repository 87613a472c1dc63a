"""Training tokens per second of LanguageModelling's baseline, beside a plain training loop in one file.

The plain one is written as single-file trainers are (nanoGPT, modded-nanogpt): the same network, optimisers, schedule
and batches, without modules, checks and a learning curve; the curve's forward passes are part of ours. Both run in
turns in one process, on one thread; nothing is compiled. `ratio` is ours over theirs.
"""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from benchmarks import runner
from benchmarks.report import Bound, Figures, Options, Table, log, number
from discoenv.tasks.registry import get_domain
from discoenv.testing import import_learner, make_examiner

DATASET: Final = "StoryGrammar"
STEPS: Final = 100


def plain(config: dict[str, Any], tokens: Any, seed: int) -> float:  # noqa: PLR0915 - in one piece on purpose
    """Train a decoder with Muon and Adam; bits per token of the last batch."""
    import numpy as np  # noqa: PLC0415 - imported where used, as everywhere
    import torch  # noqa: PLC0415
    import torch.nn.functional as F  # noqa: N812, PLC0415

    torch.manual_seed(seed)
    width, heads, context, vocabulary = (config[key] for key in ("WIDTH", "HEADS", "CONTEXT", "VOCABULARY"))
    half = width // heads // 2
    angles = torch.arange(context)[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    cosine, sine = angles.cos(), angles.sin()

    def matrix(rows: int, columns: int, bound: float) -> Any:
        return torch.empty(rows, columns).uniform_(-bound, bound).requires_grad_()

    bound = (3.0 / width) ** 0.5
    embed = torch.randn(vocabulary, width).requires_grad_()
    head = torch.zeros(vocabulary, width).requires_grad_()
    blocks = [
        [matrix(width, width, bound) for _ in range(3)]
        + [matrix(width, width, 0.0), matrix(4 * width, width, bound), matrix(width, 4 * width, 0.0)]
        for _ in range(config["LAYERS"])
    ]
    matrices = [each for block in blocks for each in block]
    averages = [torch.zeros_like(each) for each in matrices]
    adam = torch.optim.Adam([embed, head], lr=config["LR"], betas=(0.9, 0.95), eps=1e-10)
    text = torch.tensor(tokens.astype(np.int64))
    order = torch.randperm((len(text) - 1) // context) * context
    offsets = torch.arange(context + 1)

    def norm(x: Any) -> Any:
        return F.rms_norm(x, x.shape[-1:])

    def rotated(x: Any) -> Any:
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)

    bits = math.inf
    for step in range(config["STEPS"]):
        starts = order[step * config["BATCH"] : (step + 1) * config["BATCH"]]
        rows = text[starts[:, None] + offsets]
        x = norm(embed[rows[:, :-1]])
        for query, key, value, out, up, down in blocks:
            inner = norm(x)
            shape = (*x.shape[:2], heads, -1)
            q, k, v = (F.linear(inner, w).view(shape).transpose(1, 2) for w in (query, key, value))
            mixed = F.scaled_dot_product_attention(rotated(norm(q)), rotated(norm(k)), v, is_causal=True)
            x = x + F.linear(mixed.transpose(1, 2).flatten(2), out)
            x = x + F.linear(F.relu(F.linear(norm(x), up)).square(), down)
        loss = F.cross_entropy(F.linear(norm(x), head).flatten(0, 1), rows[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_([embed, head, *matrices], config["MAX_GRAD_NORM"])
        done = (step + 0.5) / config["STEPS"]
        factor = min(1.0, done / config["WARM_UP"], (1.0 - done) / config["COOL_DOWN"])
        adam.param_groups[0]["lr"] = config["LR"] * factor
        adam.step()
        adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            for weight, average in zip(matrices, averages, strict=True):
                average.lerp_(weight.grad, 0.05)
                update = weight.grad.lerp(average, 0.95)
                wide = weight.shape[0] <= weight.shape[1]
                update = update if wide else update.T
                update = update / (update.norm() + 1e-7)
                for _ in range(5):
                    gram = update @ update.T
                    update = 3.4445 * update + (-4.7750 * gram + 2.0315 * gram @ gram) @ update
                scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.sub_(config["MATRIX_LR"] * factor * scale * (update if wide else update.T))
                weight.grad = None
        bits = float(loss.detach()) / math.log(2)
    return bits


def measure(dataset: str, steps: int, repeats: int) -> dict[str, Figures]:
    """Median training tokens per second, and bits per token at the end, of both programs.

    ``samples`` are the single measurements of tokens per second, in turns with those of the other program.
    """
    import torch  # noqa: PLC0415

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in exams
    examiner = make_examiner(get_domain("LanguageModelling"), dataset, "small", STEPS=steps)
    data, config = examiner.training_data(0), dict(examiner.config)
    taken = steps * config["BATCH"] * config["CONTEXT"]
    speeds: dict[str, list[float]] = {"discoenv": [], "plain": []}
    bits: dict[str, float] = {}
    with import_learner(get_domain("LanguageModelling"), dataset=dataset) as code:

        def ours(seed: int) -> float:
            with contextlib.redirect_stdout(io.StringIO()):
                return float(code.main.train(dict(config), data, torch.device("cpu"), seed)["curve"][-1, 1])

        programs: dict[str, Callable[[int], float]] = {
            "discoenv": ours,
            "plain": lambda seed: plain(config, data["train"], seed),
        }
        for repeat in range(repeats + 1):  # the first one warms up
            for name, program in programs.items():
                begin = time.perf_counter()
                bits[name] = program(repeat)
                speeds[name] += [taken / (time.perf_counter() - begin)] * (repeat > 0)
    torch.set_num_threads(threads)
    return {
        name: {"tokens_per_s": statistics.median(samples), "samples": samples, "bits": bits[name]}
        for name, samples in speeds.items()
    }


def run(options: Options) -> Figures:
    """Measure in a separate process: the learner's plain modules stay out of this one."""
    log(f"lm_speed: {DATASET}")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        figures = executor.submit(measure, DATASET, STEPS, options.repeats).result()
    pairs = zip(figures["discoenv"]["samples"], figures["plain"]["samples"], strict=True)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return {"dataset": DATASET, "steps": STEPS, "repeats": options.repeats, "programs": figures, "ratio": ratio}


def tables(figures: Figures) -> list[Table]:
    """Training tokens per second of both, and their ratio."""
    rows = [[name, f"{row['tokens_per_s']:,.0f}", number(row["bits"])] for name, row in figures["programs"].items()]
    title = f"A decoder on {figures['dataset']}, {figures['steps']} steps, median of {figures['repeats']}"
    note = f"discoenv / plain: {number(figures['ratio'])}"
    return [Table(title, ("program", "tokens/s", "bits per token at the end"), rows, (note,))]


def bounds(figures: Figures) -> list[Bound]:
    """The structure costs less than a tenth, the learning curve included."""
    return [Bound("LanguageModelling's training tokens/s / a plain loop's", figures["ratio"], 1 / 1.1, at_most=False)]


if __name__ == "__main__":
    runner.main("lm_speed")
