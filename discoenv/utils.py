"""DiscoGen's functions under the path that they have there: ``from discoenv.utils import get_domains, get_modules``."""

from __future__ import annotations

from discoenv.discogen.api import get_modules
from discoenv.tasks.registry import get_domains

__all__ = ["get_domains", "get_modules"]
