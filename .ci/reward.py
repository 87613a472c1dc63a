"""Fails unless the newest recorded run, the demo's, has a reward better than the baseline's, which is 1."""

import json
from pathlib import Path

result = max(Path("runs").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
reward = json.loads(result.read_text(encoding="utf-8"))["reward"]
if not reward > 1:
    raise SystemExit(f"the demo's reward is {reward}, not better than the baseline's")
