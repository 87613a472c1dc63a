"""Only what users of DiscoGen import from ``discogen.utils``."""

from __future__ import annotations

from discoenv.tasks.discobench import get_discobench_tasks

__all__ = ["get_discobench_tasks"]
