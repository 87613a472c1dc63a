"""How machine-learning frameworks are set up on CPUs: in learners, examiners, benchmarks and tests alike."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path

from discoenv.machine import packages

#: What a learner that requires a package may have imported before it starts: modules whose import starts no thread and
#: touches no device. A fork after an operation of JAX or torch hangs; gymnax and brax compute on import, so what they
#: import in turn has to do.
_PRELOADED = {
    "flax": ("flax.linen", "flax.training.train_state"),
    "gymnax": ("gymnasium", "matplotlib.colors"),
    "jax": ("jax.numpy", "scipy.linalg"),  # JAX imports the latter when it first lowers linear algebra
    "numpy": ("numpy",),
    "optax": ("optax",),
    "pyyaml": ("yaml",),
    "scikit-learn": ("sklearn.pipeline",),
    # The first takes as long as the rest of torch, and comes with the first optimiser. The second, which is not in all
    # versions, comes with its first step.
    "torch": ("torch._dynamo", "torch.profiler._cupti_monitor"),
}
#: Of these, those that are not in all versions.
_OPTIONAL = frozenset({"torch.profiler._cupti_monitor"})
_FLAGS = "--xla_cpu_multi_thread_eigen=false"


def on_cpu(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables for a process that computes on the CPU; XLA flags in ``environment`` are kept.

    XLA's thread pools deadlock where parallel work waits for parallel work in the same pool: batched linear algebra
    (``vmap`` over an orthogonal initialiser, seen with jaxlib 0.10.2) and large parallel loops. A pool of one thread
    (``NPROC``) cannot. OnPolicyRL's base modules train no slower with it on two cores (``benchmarks/overhead.py``), and
    what is computed does not depend on the number of cores.
    """
    flags = (environment or {}).get("XLA_FLAGS", "")
    if _FLAGS not in flags:
        flags = f"{flags} {_FLAGS}".strip()
    return {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "NPROC": "1"}


def preloaded(requirements: Iterable[str]) -> tuple[str, ...]:
    """The modules that can be imported before a learner with these requirements is forked, sorted."""
    modules = {module for name in packages.names(requirements) for module in _PRELOADED.get(name, ())}
    return tuple(sorted(module for module in modules if module not in _OPTIONAL or _exists(module)))


def _exists(module: str) -> bool:
    """Whether a package that is installed has a file of that name; it is not imported."""
    package, *rest = module.split(".")
    found = importlib.util.find_spec(package)
    return bool(found and found.origin and Path(found.origin).parent.joinpath(*rest).with_suffix(".py").is_file())
