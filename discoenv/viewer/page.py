"""The app: one page, put together from the files in ``app/``. It needs no build and no network."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

_APP = Path(__file__).resolve().parent / "app"
#: In this order, as one script.
SCRIPTS = (
    "dom.js",
    "format.js",
    "source.js",
    "charts.js",
    "code.js",
    "parts.js",
    "calls.js",
    "list.js",
    "step.js",
    "episode.js",
    "compare.js",
    "main.js",
)
STYLES = ("base.css", "charts.css", "views.css")
#: Scripts may only make elements and texts: strings as markup are refused by the browser.
_POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; connect-src {connect}; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SERVED_POLICY = _POLICY.format(script="'self'", style="'self'", connect="'self'") + "; frame-ancestors 'none'"


@cache
def script() -> str:
    """All scripts, as one."""
    return '"use strict";\n' + "\n".join((_APP / name).read_text(encoding="utf-8") for name in SCRIPTS)


@cache
def style() -> str:
    """All style sheets, as one."""
    return "\n".join((_APP / name).read_text(encoding="utf-8") for name in STYLES)


def html() -> str:
    """The page as it is served: script and style are loaded from beside it."""
    return (
        _shell()
        .replace("<!-- style -->", '<link rel="stylesheet" href="app.css">')
        .replace("<!-- script -->", '<script src="app.js"></script>')
    )


def standalone(data: str, title: str) -> str:
    """The page as one file.

    Args:
        data: JSON, the answers to all that the page will ask for. It may hold any text.
        title: of the document.
    """
    policy = _POLICY.format(script=_digest(script()), style=_digest(style()), connect="'none'")
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style()}</style>'
    body = f'<script type="application/json" id="data">{inert(data)}</script>\n<script>{script()}</script>'
    shell = _shell().replace("<title>discoenv</title>", f"<title>{_escaped(title)}</title>")
    before, after_style = shell.split("<!-- style -->")
    between, after = after_style.split("<!-- script -->")
    return f"{before}{head}{between}{body}{after}"


def inert(data: str) -> str:
    """JSON that no HTML parser takes for markup: nothing in it can end the element that it stands in."""
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return data


def _shell() -> str:
    return (_APP / "index.html").read_text(encoding="utf-8")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
