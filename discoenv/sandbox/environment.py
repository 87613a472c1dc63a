"""The environment variables that every sandboxed program starts with. Nothing comes from the host's."""

from __future__ import annotations

from discoenv.sandbox.base import Limits

# As many also for a command that is pinned to fewer cores: what floating-point sums come to depends on their number.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "PYTHON_CPU_COUNT",
    "NPROC",  # XLA's CPU client
)


def minimal_environment(limits: Limits, home: str = "/tmp") -> dict[str, str]:  # noqa: S108 (a path inside)
    """A reproducible environment, with as many threads as ``limits.cpus``; ``home`` is the scratch directory.

    OpenBLAS gets one: it would use no more than it sees cores, so that its sums would depend on where it runs. OpenMP's
    threads sleep while they wait: on one core, one that spins keeps the other from what it waits for.
    """
    return {
        "HOME": home,
        "TMPDIR": home,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    } | dict.fromkeys(_THREADS, str(limits.cpus))
