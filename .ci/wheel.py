"""Uses discoenv as it was installed, in the present folder: an episode, a benchmark, the viewer, a domain of one's own.

``python .ci/wheel.py CHECKOUT`` fails if anything of the checkout is used.
"""

import json
import re
import subprocess
import sys
import urllib.request
from importlib import metadata
from pathlib import Path

TASK = "GreenhouseGasPrediction_model"
EPISODE = """
import discoenv
import gymnasium as gym

env = gym.make("DiscoGen-v0", task="GreenhouseGasPrediction_model", scale="tiny", max_steps=2)
observation, info = env.reset(seed=7)
text = "from sklearn.linear_model import Ridge\\n\\n\\ndef make_model(config):\\n    return Ridge(alpha=0.01)\\n"
env.step({"edits": [{"path": "model.py", "content": text}], "command": "run"})
observation, reward, terminated, truncated, info = env.step("submit")
env.close()
assert terminated and reward > 0, reward
print(discoenv.__file__, reward)
"""
SCRIPT = """
import numpy as np


def features(x):
    return np.stack([x, x**2], axis=1)


def loss(prediction, target):
    return np.mean((prediction - target) ** 2)


if __name__ == "__main__":
    x = np.linspace(0, 1, 9)
    print(loss(features(x).sum(axis=1), x))
"""


def discoenv(*words: str, code: int = 0) -> str:
    """Run a command; it must end with this exit code. Returns what it printed."""
    done = subprocess.run(["discoenv", *words], capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != code:
        raise SystemExit(f"discoenv {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main(checkout: Path) -> None:
    """All of it, with a line for each part."""
    files = metadata.files("discoenv") or []
    names = [str(file) for file in files]
    unwanted = [name for name in names if re.match(r"(tests|docs|agents|benchmarks|examples)/", name)]
    unwanted += [name for name in names if re.match(r"discoenv/domains/[^_/]+/tests/", name)]
    assert not unwanted, unwanted
    assert not any(Path(entry).resolve().is_relative_to(checkout) for entry in sys.path[1:]), sys.path
    print(f"installed: discoenv {metadata.version('discoenv')}, {len(names)} files")

    done = subprocess.run([sys.executable, "-c", EPISODE], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    place, reward = done.stdout.split()[-2:]
    assert Path(sys.prefix) in Path(place).parents, place
    print(f"episode: reward {float(reward):.2f}")

    agents = "baseline,unchanged,scripted,random_search:steps=2"
    discoenv("bench", "run", "--agents", agents, "--tasks", TASK, "--scale", "tiny", "--seeds", "1", "--out", "bench")
    results = [json.loads(path.read_text(encoding="utf-8")) for path in Path("bench/cells").glob("*/*/result.json")]
    assert len(results) == 4, results
    assert all(result["reward"] is not None for result in results), results
    discoenv("bench", "report", "bench")
    assert "Leaderboard" in Path("bench/report/report.md").read_text(encoding="utf-8")
    print("benchmark: " + ", ".join(f"{result['agent']} {result['reward']:.2f}" for result in results))

    (run,) = Path("runs").iterdir()
    discoenv("export", str(run), "--html", "run.html")
    assert "reward" in Path("run.html").read_text(encoding="utf-8")
    viewer = subprocess.Popen(
        ["discoenv", "view", "runs", "--port", "0", "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert viewer.stdout is not None
        (address,) = re.findall(r"http://[\w.:]+/", viewer.stdout.readline())
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - our own server
            page = answer.read().decode()
        assert "<html" in page
    finally:
        viewer.terminate()
        viewer.wait()
    print(f"viewer: a page of {len(page):,} characters, and {Path('run.html').stat().st_size:,} bytes exported")

    Path("mine").mkdir()
    Path("script.py").write_text(SCRIPT, encoding="utf-8")
    discoenv("new-domain", "Flow", "--into", "mine")
    discoenv("validate", "mine/Flow")
    discoenv("new-domain", "Drafted", "--from", "script.py", "--into", "mine")
    assert "examiner.py:" in discoenv("validate", "mine/Drafted", "--no-baselines", code=1)
    print("domain: made, validated, drafted")


main(Path(sys.argv[1]).resolve())
