"""The moving picture of the README: lines appear in their time, in a document that loads nothing."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "episode_picture", Path(__file__).resolve().parents[2] / "docs/episode_picture.py"
)
assert _spec is not None and _spec.loader is not None
episode_picture = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(episode_picture)
Line, draw = episode_picture.Line, episode_picture.draw

SVG = "{http://www.w3.org/2000/svg}"


def test_each_line_appears_in_its_time_and_the_first_ones_move_up() -> None:
    count = episode_picture.ROWS + 4
    picture = draw([Line(float(number), f"\x1b[32mline\x1b[0m {number}") for number in range(1, count)], "a command")
    root = ET.fromstring(picture)
    texts = {element.get("class", "").split()[-1]: "".join(element.itertext()) for element in root.iter(f"{SVG}text")}
    assert "command" in texts["l0"]
    assert set(texts) == {f"l{number}" for number in range(count)}
    at = [float(share) for share in re.findall(r"@keyframes l\d+ \{ 0% \{ opacity: 0 \} ([\d.]+)%", picture)]
    assert at == sorted(at)
    assert len(at) == count - 1
    assert f"translateY(-{4 * episode_picture.LINE:.1f}px)" in picture


def test_the_picture_of_the_repository_is_complete_and_loads_nothing() -> None:
    picture = episode_picture.PICTURE.read_text(encoding="utf-8")
    ET.fromstring(picture)
    assert "reward" in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "/tmp/" not in picture
