"""YAML of our own, fast: libyaml where PyYAML has it. Not for text from outside, whose nesting can crash libyaml."""

from __future__ import annotations

from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def load(text: str) -> Any:
    """Parse text that comes with discoenv or with a pack, or was written by :func:`dump`."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


def dump(content: Any, *, sort_keys: bool = False) -> str:
    """Plain values as YAML text, ASCII only, one item a line."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=sort_keys))
