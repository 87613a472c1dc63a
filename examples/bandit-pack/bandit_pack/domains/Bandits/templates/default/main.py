"""Plays many bandits at once: each step, the examiner names the last rewards and is told the next arms."""

import exam
import numpy as np
from confidence import confidence
from index import index
from memory import Memory
from shortlist import shortlist


class Player:
    """The algorithm that the modules make up, as the examiner sees it."""

    def __init__(self, problems, arms, horizon, seed):
        self._rng = np.random.default_rng(seed)
        self._horizon, self._step = horizon, 0
        self._memory = Memory(problems, arms)
        self._considered = np.asarray(shortlist(problems, arms, horizon, self._rng), dtype=bool)
        if self._considered.shape != (problems, arms) or not self._considered.any(axis=1).all():
            raise ValueError(f"shortlist() must return bool[{problems}, {arms}] with at least one arm per problem")
        self._new = self._considered.copy()
        self._pulled, self._paid = None, 0.0

    def play(self, rewards):
        """The next arms, int[P], after the rewards float64[P] of the last ones."""
        if self._pulled is not None:
            self._memory.update(self._pulled, rewards)
            self._paid += rewards.mean()
            if self._step % max(1, self._horizon // 10) == 0:
                print(f"step {self._step}: mean reward {self._paid / self._step:.3f}")
        self._step += 1
        pulls, mean, variance = self._memory.read()
        sure = confidence(self._step, self._horizon, pulls.shape[1])
        values = index(np.maximum(pulls, 1e-12), mean, variance, sure, self._step, self._horizon, self._rng)
        values = np.where(self._considered, np.where(self._new, np.inf, values), -np.inf)
        largest = values == values.max(axis=1, keepdims=True)
        self._pulled = np.argmax(largest * self._rng.uniform(0.5, 1.0, size=values.shape), axis=1)  # one of them
        self._new[np.arange(len(values)), self._pulled] = False
        return self._pulled


if __name__ == "__main__":
    sizes = exam.training_data()
    exam.serve(Player(sizes["problems"], sizes["arms"], sizes["horizon"], exam.seed()))
