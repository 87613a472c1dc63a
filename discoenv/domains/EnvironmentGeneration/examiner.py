"""Examines searches for levels: simulates what the learner proposes, and keeps the archive that counts."""

from __future__ import annotations

from typing import Final

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner, ProtocolError
from discoenv.kits.quality_diversity.archives import REJECTED, FloatArray, GridArchive
from discoenv.kits.quality_diversity.archives import Array as SolutionArray

from .simulators import Simulator, simulator

#: Random solutions of the floor that are simulated at a time.
_BATCH: Final = 200
#: Elites that are kept for pictures, along each measure.
_SHOWN: Final = 4
#: Points of the curve that is kept for pictures.
_POINTS: Final = 200


class EnvironmentGenerationExaminer(Examiner):
    """Lets a learner fill an archive with BUDGET evaluations.

    Each proposal is simulated once and put into an archive of the examiner's own, in the order of proposal. What a
    learner predicts is no part of any answer. The metrics:

    * ``qd_score``: sum of the objectives of the archive's elites, over the number of cells;
    * ``coverage``: share of cells that have an elite;
    * ``qd_area``: mean over evaluations of ``qd_score`` after each;
    * ``mean_objective``: of the elites.
    """

    def training_data(self, seed: int) -> dict[str, SolutionArray]:
        """The plot of mazes, or the weights of the generator: what levels are made of in this exam."""
        return self.simulator(seed).shown

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """``propose()`` and ``tell(objectives, measures, occupancy)`` in turn until the budget is spent."""
        world, archive, curve = self.simulator(seed), self.archive(), np.zeros(0)
        config = self.config
        kind = Array(
            (None, config["SOLUTION_DIM"]),
            "int" if config["SIMULATOR"] == "maze" else "float",
            low=0 if config["SIMULATOR"] == "maze" else -config["LIMIT"],
            high=1 if config["SIMULATOR"] == "maze" else config["LIMIT"],
        )
        while (left := config["BUDGET"] - len(curve)) > 0:
            solutions = learner.ask("propose", returns=kind)
            if not 1 <= len(solutions) <= left:
                raise ProtocolError(f"propose() answered {len(solutions)} solutions; expected 1 to {left}")
            solutions = solutions.astype(np.int8 if config["SIMULATOR"] == "maze" else np.float64)
            evaluation = world.evaluate(solutions)
            curve = self._added(archive, solutions, evaluation.objectives, evaluation.measures, curve)
            learner.tell("tell", evaluation.objectives, evaluation.measures, evaluation.occupancy)
        self._keep(world, archive, curve)
        return self._metrics(archive, curve)

    def floor(self, seed: int) -> dict[str, float]:
        """Domain randomisation: as many random levels."""
        world, archive, curve = self.simulator(seed), self.archive(), np.zeros(0)
        rng = self.generator(seed, "floor")
        while (left := self.config["BUDGET"] - len(curve)) > 0:
            solutions = world.draw(min(_BATCH, left), rng)
            evaluation = world.evaluate(solutions)
            curve = self._added(archive, solutions, evaluation.objectives, evaluation.measures, curve)
        return self._metrics(archive, curve)

    def simulator(self, seed: int) -> Simulator:
        """The simulator of the exam with this seed."""
        return simulator(self.config, self.generator(seed, "simulator"))

    def archive(self) -> GridArchive:
        """An empty archive."""
        low_high = [(float(low), float(high)) for low, high in self.config["RANGES"]]
        dtype = np.int8 if self.config["SIMULATOR"] == "maze" else np.float64
        return GridArchive(self.config["SOLUTION_DIM"], self.config["DIMS"], low_high, dtype)

    @staticmethod
    def _added(
        archive: GridArchive, solutions: SolutionArray, objectives: FloatArray, measures: FloatArray, curve: FloatArray
    ) -> FloatArray:
        """The QD-score float64[evaluations] after each evaluation, this batch included, not divided by anything."""
        added = archive.add(solutions, objectives, measures, one_by_one=True)
        gains = np.where(added.status != REJECTED, added.value, 0.0)
        return np.concatenate([curve, (curve[-1] if len(curve) else 0.0) + np.cumsum(gains)])

    @staticmethod
    def _metrics(archive: GridArchive, curve: FloatArray) -> dict[str, float]:
        return {
            "qd_score": archive.qd_score() / archive.cells,
            "coverage": archive.coverage,
            "qd_area": float(curve.mean()) / archive.cells,
            "mean_objective": archive.qd_score() / len(archive),
        }

    def _keep(self, world: Simulator, archive: GridArchive, curve: FloatArray) -> None:
        """The archive, the curve at some points, and elites from all over the archive with their levels."""
        self.save_artifact("objectives", archive.objectives.astype(np.float32))
        self.save_artifact("names", np.array(self.config["MEASURES"]))
        self.save_artifact("ranges", np.array(archive.ranges))
        places = np.unique(np.linspace(1, len(curve), _POINTS).astype(int))
        self.save_artifact("evaluations", places)
        self.save_artifact("curve", (curve[places - 1] / archive.cells).astype(np.float32))
        elites = archive.elites()
        position = np.stack(np.unravel_index(elites.cells, archive.dims), axis=1) / archive.dims
        rank = position.argsort(axis=0).argsort(axis=0) / len(elites)
        middles = (np.arange(_SHOWN) + 0.5) / _SHOWN
        targets = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
        nearest = np.unique(((rank[:, None] - targets) ** 2).sum(axis=2).argmin(axis=0))
        self.save_artifact("levels", world.levels(elites.solutions[nearest]))
        self.save_artifact("measures", elites.measures[nearest].astype(np.float32))
