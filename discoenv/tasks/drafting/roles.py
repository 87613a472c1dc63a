"""What a definition or a call in a training script is for, by its name, its bases and what it calls."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Final

from discoenv.tasks.drafting.scopes import Definition, Function

#: Roles that a module can have, and what the prompt of such a module begins with.
MODULES: Final[Mapping[str, str]] = {
    "loss": "Write the loss that training minimises",
    "optim": "Write the optimiser: from gradients to changes of the parameters",
    "schedule": "Write the schedule: how a step size or another number changes while training goes on",
    "targets": "Write the targets: what values and policies are trained towards",
    "network": "Write the network: its parameters, and what it computes from an input",
    "model": "Write the model: how it is fitted, and how it predicts",
    "features": "Write the features: what the model sees of an input",
    "augment": "Write the augmentation: how training inputs are changed",
    "sampler": "Write the sampler: which examples are trained on, and in which order",
    "policy": "Write the policy: how actions are chosen",
}
#: Roles that are not the agent's.
DATA, MEASURE, TRAINING = "data", "measure", "training"
_WORDS: Final[tuple[tuple[str, frozenset[str]], ...]] = tuple(
    (role, frozenset(words.split()))
    for role, words in (
        (MEASURE, "evaluate evaluation eval test validate validation accuracy metric metrics score benchmark"),
        ("loss", "loss losses objective criterion penalty"),
        ("optim", "optim optimizer optimiser sgd adam rmsprop"),
        (TRAINING, "train training main run fit epoch step update parse args config setup log save checkpoint plot"),
        ("schedule", "schedule scheduler anneal annealing warmup decay"),
        ("targets", "gae advantage advantages returns target targets bootstrap"),
        ("augment", "augment augmentation mixup cutmix cutout crop flip jitter"),
        ("features", "feature features preprocess preprocessing normalise normalize standardise standardize embed"),
        ("sampler", "sampler replay buffer minibatch minibatches batches batch shuffle"),
        ("network", "network net actor critic mlp cnn encoder decoder backbone forward init"),
        ("model", "model classifier regressor"),
        ("policy", "policy act action explore exploration epsilon"),
        (DATA, "load loader loaders dataset datasets data read download split env environment make"),
    )
)
#: The last part of what is called, by the role of what it makes.
_CALLED: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (role, re.compile(pattern))
    for role, pattern in (
        (DATA, r".*(\.datasets|\.data)\.(?!DataLoader|TensorDataset)\w+|(\w+\.)*(read_csv|read_parquet|load_dataset)"),
        (DATA, r"(\w+\.)*(load_(digits|iris|wine|diabetes|breast_cancer)|fetch_\w+|make_(classification|regression))"),
        (DATA, r"(\w+\.)*(make_(moons|circles|blobs|friedman[123])|train_test_split)|gymnax\.make|gym(nasium)?\.make"),
        ("schedule", r"(\w+\.)*lr_scheduler\.\w+|optax\.(schedules\.)?\w*(schedule|decay)\w*"),
        ("optim", r"(\w+\.)*optim\.[A-Z]\w+|optax\.(adam|adamw|sgd|rmsprop|lamb|lion|adagrad|chain)"),
        ("loss", r"(\w+\.)*(\w+Loss|cross_entropy|mse_loss|nll_loss|l1_loss|smooth_l1_loss|kl_div)"),
        ("loss", r"(\w+\.)*(binary_cross_entropy\w*|(softmax|sigmoid)_\w*cross_entropy\w*|l2_loss|huber_loss)"),
        ("augment", r"(\w+\.)*transforms(\.v2)?\.Compose"),
        ("network", r"(\w+\.)*nn\.(Sequential|Transformer)"),
        ("features", r"sklearn\.(preprocessing|feature_extraction|feature_selection|decomposition)\.(\w+\.)*[A-Z]\w+"),
        ("model", r"sklearn\.(?!model_selection|metrics)\w+\.(\w+\.)*[A-Z]\w+|sklearn\.pipeline\.make_pipeline"),
        ("model", r"(xgboost|lightgbm|catboost)\.[A-Z]\w+"),
    )
)
_MEASURES: Final[tuple[tuple[re.Pattern[str], Mapping[str, object]], ...]] = tuple(
    (re.compile(pattern), metric)
    for pattern, metric in (
        (r"accuracy\w*|acc|correct", {
            "name": "accuracy", "unit": "fraction", "direction": "max", "lower": 0.0, "upper": 1.0}),
        (r"roc_auc_score|auc", {"name": "auc", "unit": "area", "direction": "max", "lower": 0.0, "upper": 1.0}),
        (r"f1_score|f1", {"name": "f1", "unit": "fraction", "direction": "max", "lower": 0.0, "upper": 1.0}),
        (r"r2_score|r2", {"name": "r2", "unit": "fraction of variance explained", "direction": "max", "upper": 1.0}),
        (r"mean_squared_error|r?mse(_loss)?", {
            "name": "mse", "unit": "squared error", "direction": "min", "lower": 0.0}),
        (r"mean_absolute_error|mae", {"name": "mae", "unit": "error", "direction": "min", "lower": 0.0}),
        (r"perplexity", {"name": "perplexity", "unit": "per token", "direction": "min", "lower": 1.0}),
        (r"log_loss|nll", {"name": "log_loss", "unit": "nats", "direction": "min", "lower": 0.0}),
        (r"(mean_)?(episode_)?returns?|returned_episode_returns|(episode_|total_)rewards?", {
            "name": "return", "unit": "reward per episode", "direction": "max"}),
    )
)  # fmt: skip


def words(name: str) -> list[str]:
    """``calculateGAE_v2`` → ``calculate``, ``gae``, ``v2``."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    return [part.lower() for part in parts]


def dotted(node: ast.expr) -> str:
    """``torch.optim.SGD`` of the expression; empty if it is no name with attributes."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def role_of_definition(node: Definition) -> str | None:  # noqa: PLR0911 - one per kind of sign
    """The role of a function or class; None if nothing speaks for one."""
    if isinstance(node, ast.ClassDef):
        methods = {each.name for each in node.body if isinstance(each, Function)}
        bases = {dotted(base).rpartition(".")[2] for base in node.bases}
        if {"reset", "step"} <= methods or bases & {"Dataset", "IterableDataset", "Env"}:
            return DATA
        if "Module" in bases:
            return "loss" if "loss" in words(node.name) else "network"
        if {"fit", "predict"} <= methods:
            return "model"
        if {"fit", "transform"} <= methods:
            return "features"
        if not methods:
            return None  # a record
    found = _role_of_words(words(node.name))
    if found in (None, DATA, TRAINING) and not isinstance(node, ast.ClassDef):
        called = {dotted(each.func).rpartition(".")[2] for each in ast.walk(node) if isinstance(each, ast.Call)}
        if called & {"grad", "value_and_grad", "backward"}:
            return TRAINING
        if called & {"accuracy_score", "r2_score", "mean_squared_error", "roc_auc_score"}:
            return MEASURE
    return found


def role_of_call(call: ast.Call, imports: Mapping[str, str]) -> str | None:
    """The role of what a call makes, by the full name of what is called.

    Args:
        call: the call; of ``Net().to(device)``, what is called first counts.
        imports: what each imported name means, such as ``torch.optim`` for ``optim``.
    """
    function: ast.expr = call.func
    while isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
        function = function.value.func
    name = dotted(function)
    first, _, rest = name.partition(".")
    full = ".".join(part for part in (imports.get(first, first), rest) if part)
    return next((role for role, pattern in _CALLED if pattern.fullmatch(full)), None)


def metric_of(name: str) -> Mapping[str, object] | None:
    """The metric that a name, such as that of a function or a variable, stands for."""
    last = name.rpartition(".")[2].strip("_").lower()
    return next((metric for pattern, metric in _MEASURES if pattern.fullmatch(last)), None)


def _role_of_words(named: list[str]) -> str | None:
    return next((role for role, known in _WORDS if known & set(named)), None)
