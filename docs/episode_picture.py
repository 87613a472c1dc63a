"""Makes ``docs/images/episode.svg``, the moving picture of the README: a terminal in which an episode is played.

``python docs/episode_picture.py`` plays the demo and draws what it prints as it prints it, faster, and over again.
Lines move up once the terminal is full. The picture needs neither scripts nor fonts from elsewhere.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

PICTURE: Final = Path(__file__).parent / "images" / "episode.svg"
COMMAND: Final = ("agents/scripted.py", "--domain", "GreenhouseGasPrediction", "--scale", "tiny", "--seed", "2")
WIDTH: Final = 84  # characters
ROWS: Final = 26  # lines that are seen at once
LINE: Final = 24.4  # pixels, of Rich's SVG
PLAYED_S: Final = 14.0  # until the last line
HELD_S: Final = 6.0  # and then until it begins again
_FORMAT: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} HEIGHT" role="img" aria-label="An episode in a terminal">
<style>
.{unique_id}-matrix {{ font: 20px "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
.{unique_id}-title {{ font: bold 18px sans-serif; }}
{styles}
MOTION
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="SEEN"/></clipPath></defs>
<rect fill="#292929" x="1" y="1" width="{width}" height="HEIGHT" rx="8"/>
<g transform="translate(9, 12)" clip-path="url(#{unique_id}-clip-terminal)">
<g class="up">{backgrounds}<g class="{unique_id}-matrix">
{matrix}
</g></g></g>
</svg>
"""


class Line(NamedTuple):
    """A line that was printed.

    Attributes:
        at_s: when, in seconds from the start.
        text: it, with the terminal's codes of colours.
    """

    at_s: float
    text: str


def printed(command: Sequence[str]) -> list[Line]:
    """What a Python script prints, and when."""
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    begun = time.monotonic()
    with subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [Line(time.monotonic() - begun, line.rstrip("\n")) for line in process.stdout]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    unwanted = ("training on exam", "recorded in", "score it again")  # a spinner, and places of this machine
    return [line for line in lines if line.text.strip() and not any(words in line.text for words in unwanted)]


def draw(lines: Sequence[Line], prompt: str = "") -> str:
    """The picture, as SVG.

    Args:
        lines: in the order in which they appear.
        prompt: what stands above them from the beginning.
    """
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    shown = [Line(0.0, f"$ {prompt}"), *lines]
    for line in shown:
        console.print(Text.from_ansi(line.text), overflow="crop", no_wrap=True, crop=True)
    svg = console.export_svg(code_format=_FORMAT, unique_id="episode")
    svg = re.sub(r' clip-path="url\(#episode-line-\d+\)"', "", svg)
    svg = re.sub(r"<text [^>]*>\s*</text>", "", svg)
    whole = lines[-1].at_s if lines else 1.0
    at_s = [line.at_s / whole * PLAYED_S for line in shown]
    motion = _motion(at_s)
    svg = re.sub(r'<text class="([^"]*)" x="([^"]*)" y="([^"]*)"', _appearing, svg)
    seen = f"{ROWS * LINE + 4:.1f}"
    return svg.replace("MOTION", motion).replace("HEIGHT", f"{ROWS * LINE + 28:.1f}").replace("SEEN", seen)


def _appearing(match: re.Match[str]) -> str:
    """A piece of text with the class of its line, which appears in its time."""
    number = round((float(match[3]) - 20) / LINE)
    return f'<text class="{match[1]} l{number}" x="{match[2]}" y="{match[3]}"'


def _motion(at_s: Sequence[float]) -> str:
    """Styles: each line appears in its time, and all move up once there are more than can be seen."""
    turn = PLAYED_S + HELD_S
    rules = []
    up = ["0% { transform: translateY(0) }"]
    for number, seconds in enumerate(at_s):
        share = 100 * min(seconds, PLAYED_S) / turn
        if number:
            rules.append(
                f"@keyframes l{number} {{ 0% {{ opacity: 0 }} {share:.2f}% {{ opacity: 1 }} 100% {{ opacity: 1 }} }}"
                f" .l{number} {{ animation: l{number} {turn:g}s step-end infinite }}"
            )
        if number >= ROWS:
            up.append(f"{share:.2f}% {{ transform: translateY(-{(number + 1 - ROWS) * LINE:.1f}px) }}")
    up.append(f"100% {{ {up[-1].partition('{ ')[2]}")
    rules.append(f"@keyframes up {{ {' '.join(up)} }} .up {{ animation: up {turn:g}s step-end infinite }}")
    return "\n".join(rules)


def main() -> None:
    """Play, draw, and write the picture."""
    PICTURE.write_text(draw(printed(COMMAND), f"python {' '.join(COMMAND)}"), encoding="utf-8")
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
