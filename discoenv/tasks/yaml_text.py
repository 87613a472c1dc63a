"""YAML, in which a key that is listed twice is an error, as everywhere here: the last one would win in silence.

:func:`load` is fast: it uses libyaml where PyYAML has it. Its nesting can crash libyaml, so text from outside is read
by :func:`load_untrusted`.
"""

from __future__ import annotations

from typing import Any

import yaml

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DuplicateKey(yaml.MarkedYAMLError):
    """A mapping has the same key twice; the message names it and both lines."""


def _check(loader: Any, node: Any) -> None:
    """Raise DuplicateKey if a mapping has a key twice. Those of merges (``<<``) may be overridden."""
    lines: dict[Any, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            name, line = loader.construct_object(key), key.start_mark.line + 1
            if name in lines:
                problem = f"the key {key.value!r} is listed twice, in lines {lines[name]} and {line}; remove one"
                raise DuplicateKey(problem=problem)
            lines[name] = line


class _Loader(_Fast):  # type: ignore[misc]
    def flatten_mapping(self, node: Any) -> None:
        """Every mapping comes here before its merges are put into it, and again where others merge it."""
        if not getattr(node, "checked", False):
            _check(self, node)
            node.checked = True
        super().flatten_mapping(node)


class _UntrustedLoader(yaml.SafeLoader):
    def flatten_mapping(self, node: Any) -> None:
        """As above."""
        if not getattr(node, "checked", False):
            _check(self, node)
            node.checked = True
        super().flatten_mapping(node)


def load(text: str) -> Any:
    """Parse text that comes with discoenv or with a pack, or was written by :func:`dump`.

    Raises:
        yaml.YAMLError: it is not YAML, or a key is listed twice.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


def load_untrusted(text: str) -> Any:
    """Parse text that comes from anywhere.

    Raises:
        yaml.YAMLError: it is not YAML, or a key is listed twice.
        RecursionError: it is nested too deeply.
    """
    return yaml.load(text, Loader=_UntrustedLoader)  # noqa: S506 - a safe loader


def dump(content: Any, *, sort_keys: bool = False) -> str:
    """Plain values as YAML text, ASCII only, one item a line."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=sort_keys))
