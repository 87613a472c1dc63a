"""Meta-train and meta-test rules: the commands ``train`` and ``test`` of this package.

Options have the names of the published code; dashes and underscores are the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .checkpoints import load_tree
from .evaluation import meta_test, names_of, table, write
from .logs import Console, JsonLines, Log, TensorBoard, WeightsAndBiases
from .settings import EXPERIMENTS, EvolutionStrategy, MetaGradient, Settings, as_dict, from_dict, small
from .training import CHECKPOINT, RULE, initial_rule, meta_train, saved_step

#: Environments that meta-training by default has not seen.
UNSEEN = ("tabular", "mazes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: as on the command line; None: those of the process.

    Returns:
        The exit code: 0, or 2 where what is asked for does not exist.
    """
    options = _parser().parse_args(_dashed(sys.argv[1:] if arguments is None else arguments))
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _dashed(arguments: Sequence[str]) -> list[str]:
    """Names of options with dashes; values stay as they are."""
    split = (argument.partition("=") for argument in arguments)
    return [(a.replace("_", "-") if a.startswith("--") else a) + equals + value for a, equals, value in split]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    commands = parser.add_subparsers(required=True)

    train = commands.add_parser("train", help="meta-train a rule")
    train.set_defaults(run=_train)
    train.add_argument("--out", type=Path, default=Path("meta_rl"), help="folder of the run (default: meta_rl)")
    train.add_argument("--experiment", choices=EXPERIMENTS, default="lpg", help="a published run, which options change")
    train.add_argument("--small", action="store_true", help="at a size for two cores of a CPU")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out, with its settings")
    train.add_argument("--seed", type=int)
    train.add_argument("--env-mode", help="levels and lifetimes of the agents")
    train.add_argument("--lifetime", type=int, nargs="+", help="of agents, in updates; two numbers: drawn between them")
    train.add_argument("--num-agents", type=int)
    train.add_argument("--num-mini-batches", type=int, help="groups of agents, one after another: less memory")
    train.add_argument("--train-steps", type=int)
    train.add_argument("--env-workers", type=int, help="copies of the environment for each agent")
    train.add_argument("--score-function", choices=["random", "frozen", "alg_regret"], help="how levels are chosen")
    train.add_argument("--buffer-size", type=int, help="levels that are kept")
    train.add_argument("--score-transform", choices=["rank", "proportional"], help="how kept levels are replayed")
    train.add_argument("--use-es", action="store_true", help="an evolution strategy instead of the meta-gradient")
    train.add_argument("--lifetime-conditioning", action="store_true", help="the rule sees n / N and log N")
    train.add_argument("--raw-lifetime", action="store_true", help="the rule sees n and N, as in the published code")
    train.add_argument("--lpg-learning-rate", type=float)
    train.add_argument("--hidden", type=int, help="width of the rule's GRU")
    train.add_argument("--log-every", type=int, default=10, help="steps between two entries of the log (default: 10)")
    train.add_argument("--checkpoint-every", type=int, default=100, help="steps (default: 100)")
    train.add_argument("--debug", action="store_true", help="compile nothing")
    train.add_argument("--log", action="store_true", help="log to Weights & Biases")
    train.add_argument("--wandb-entity")
    train.add_argument("--wandb-project")
    train.add_argument("--tensorboard", action="store_true", help="log for TensorBoard, into --out")

    test = commands.add_parser("test", help="let fresh agents learn by a rule in environments that it has not seen")
    test.set_defaults(run=_test)
    test.add_argument("folder", type=Path, help="of the run")
    test.add_argument(
        "--envs", nargs="+", default=UNSEEN, help="modes, tabular, mazes, gymnax, or single ones of these"
    )
    test.add_argument("--agents", type=int, default=8, help="per environment (default: 8)")
    test.add_argument("--lifetime", type=int, help="in updates (default: that of the environment)")
    test.add_argument("--env-workers", type=int, help="copies of the environment for each agent")
    test.add_argument("--seed", type=int, default=1000)
    test.add_argument("--untrained", action="store_true", help="compare with the rule before meta-training")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    """The settings of a run: those of the experiment, changed by the options that were given."""
    settings = EXPERIMENTS[options.experiment]
    settings = small(settings) if options.small else settings
    given = {
        name: getattr(options, name)
        for name in ("seed", "env_mode", "num_agents", "num_mini_batches", "train_steps", "env_workers")
        if getattr(options, name) is not None
    }
    if options.env_mode is not None:
        given["lifetime"] = None
    if options.lifetime is not None:
        given["lifetime"] = (options.lifetime[0], options.lifetime[-1])
    outer: MetaGradient | EvolutionStrategy = settings.outer
    if options.use_es and isinstance(outer, MetaGradient):
        outer = EvolutionStrategy()
    if options.lpg_learning_rate is not None:
        outer = replace(outer, rate=options.lpg_learning_rate)
    rule, curation = settings.rule, settings.curation
    if options.lifetime_conditioning or options.raw_lifetime:
        rule = replace(rule, conditioning="repo_raw" if options.raw_lifetime else "paper")
    if options.hidden is not None:
        rule = replace(rule, hidden=options.hidden)
    for name, option in (("kind", "score_function"), ("size", "buffer_size"), ("transform", "score_transform")):
        if getattr(options, option) is not None:
            curation = replace(curation, **{name: getattr(options, option)})
    return replace(settings, **given, outer=outer, rule=rule, curation=curation)


def _train(options: argparse.Namespace) -> None:
    file = options.out / "settings.json"
    if options.resume and file.exists():
        settings = _read(options.out)
    else:
        settings = _settings(options)
        if (options.out / CHECKPOINT).exists():
            raise ValueError(f"{options.out} holds a run: continue it with --resume, or choose another folder by --out")
        options.out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(as_dict(settings), indent=1) + "\n", encoding="utf-8")
    logs: list[Log] = [Console(), JsonLines(options.out / "log.jsonl", saved_step(options.out))]
    if options.tensorboard:
        logs.append(TensorBoard(options.out))
    if options.log:
        names: dict[str, Any] = {"entity": options.wandb_entity, "project": options.wandb_project}
        logs.append(WeightsAndBiases(**names, config=as_dict(settings)))
    meta_train(
        settings,
        options.out,
        resume=options.resume,
        logs=logs,
        log_every=options.log_every,
        checkpoint_every=options.checkpoint_every,
        debug=options.debug,
    )
    print(f"wrote {options.out / RULE}")


def _test(options: argparse.Namespace) -> None:
    settings = _read(options.folder)
    if options.env_workers is not None:
        settings = replace(settings, env_workers=options.env_workers)
    start = initial_rule(settings)
    rules = {"rule": load_tree(options.folder / RULE, start)}
    if options.untrained:
        rules["untrained"] = start
    names = names_of(options.envs)
    results = {
        rule: [
            meta_test(params, settings, name, seed=options.seed, agents=options.agents, lifetime=options.lifetime)
            for name in names
        ]
        for rule, params in rules.items()
    }
    print(table(results))
    for path in write(results, options.folder):
        print(f"wrote {path}")


def _read(folder: Path) -> Settings:
    return from_dict(json.loads((folder / "settings.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main())
