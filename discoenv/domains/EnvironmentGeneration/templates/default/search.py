"""The search: what the examiner asks for levels, round after round."""

import numpy as np
from archive import IMPROVED, NEW, REJECTED, Archive
from evaluations import Evaluations
from levels import Space
from proposals import Proposals
from schedule import plan
from selection import select

#: There are at most this many rounds, and one more for each 25 evaluations; the last one is filled with random levels.
ROUNDS = 50


class Search:
    """A search in progress.

    Args:
        config: dict, the dataset's config.yaml.
        data: dict of arrays of the exam; see Space.
        seed: int, of everything random.
    """

    def __init__(self, config, data, seed):
        self._config = config
        self._rng = np.random.default_rng(seed)
        self._space = Space(config, data)
        self._archive = Archive(config, self._space.dtype)
        self._proposals = Proposals(config, self._space, self._rng)
        self._history, self._data = [], None

    def propose(self):
        """Solutions [n, SOLUTION_DIM] of the next round, for the simulator; n from 1 to what is left of BUDGET."""
        left = self._config["BUDGET"] - (self._history[-1]["evaluations"] if self._history else 0)
        what = {name: int(value) for name, value in plan([*self._history], self._config).items()}
        random, wanted = min(what["random"], left), min(what["evaluations"], left - min(what["random"], left))
        if random < 0 or wanted < 0 or random + wanted < 1:
            raise ValueError(f"schedule.py: plan asks for {what['random']} random and {what['evaluations']} solutions")
        self._solutions = self._space.draw(random, self._rng)
        self._predicted = self._rows = None
        if wanted:
            candidates = self._proposals.make(what, self._archive, self._data)
            rows = np.asarray(select(candidates, self._archive, wanted, self._rng, self._config), np.int64)
            if not 1 <= len(rows) <= wanted or len(np.unique(rows)) < len(rows):
                raise ValueError(f"selection.py: {len(rows)} rows, or some twice; expected 1 to {wanted} of them")
            self._predicted, self._rows = candidates, rows
            is_last = len(self._history) + 1 >= ROUNDS + self._config["BUDGET"] // 25
            more = self._space.draw(left - random - len(rows) if is_last else 0, self._rng)
            self._solutions = np.concatenate([self._solutions, more, candidates.solutions[rows]])
        return self._solutions

    def tell(self, objectives, measures, occupancy):
        """What the simulator says of the proposed solutions.

        Args:
            objectives: float64[n], from 0 to 1.
            measures: float64[n, 2].
            occupancy: float32[n, HEIGHT, WIDTH], steps that the agent spent in each cell, mean over episodes.
        """
        status, value = self._archive.add(self._solutions, objectives, measures)
        if self._rows is not None:
            tail = slice(len(status) - len(self._rows), None)
            self._proposals.told(self._archive, self._solutions[tail], status[tail], value[tail])
        new = Evaluations(self._space.levels(self._solutions), objectives, measures, occupancy)
        self._data = new if self._data is None else Evaluations(*map(np.concatenate, zip(self._data, new, strict=True)))
        self._remember(status, objectives, measures)

    def _remember(self, status, objectives, measures):
        errors = (float("nan"),) * 3
        if self._predicted is not None:
            tail = slice(len(status) - len(self._rows), None)
            low, high = np.array(self._config["RANGES"], np.float64).T
            off = np.abs(self._predicted.measures[self._rows] - measures[tail]).mean(axis=0) / (high - low)
            errors = (float(np.abs(self._predicted.objectives[self._rows] - objectives[tail]).mean()), *off.tolist())
        self._history.append(
            {
                "evaluations": len(self._data.objectives),
                "qd_score": self._archive.qd_score(),
                "coverage": len(self._archive) / np.prod(self._archive.dims),
                "new": int((status == NEW).sum()),
                "improved": int((status == IMPROVED).sum()),
                "rejected": int((status == REJECTED).sum()),
                "errors": errors,
            }
        )
        if self._history[-1]["evaluations"] >= self._config["BUDGET"]:
            self._print()

    def _print(self):
        rounds = np.unique(np.linspace(0, len(self._history) - 1, 10).astype(int))
        for row in (self._history[each] for each in rounds):
            objective, first, second = row["errors"]
            print(
                f"{row['evaluations']} evaluations: QD-score {row['qd_score']:.4f}, coverage {row['coverage']:.3f}, "
                f"errors of predictions: objective {objective:.3f}, measures {first:.3f} and {second:.3f}"
            )
