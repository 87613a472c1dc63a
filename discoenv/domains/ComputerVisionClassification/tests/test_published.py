"""ComputerVisionClassification: published image sets are trained on and examined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.data import published
from discoenv.data.published.holdout import Holdout
from discoenv.errors import DatasetUnavailable
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import InProcessLearner
from tests.data import published_files as files

pytest.importorskip("PIL")
pytest.importorskip("scipy")

from discoenv.domains.ComputerVisionClassification.examiner import ComputerVisionClassificationExaminer

DOMAIN = Domain(BUILTIN / "ComputerVisionClassification")
PUBLISHED = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "download"]
PHOTOGRAPHS = ("OxfordFlowers", "StanfordCars", "TinyImageNet")


class Zero:
    """Answers zero, whatever it is shown."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.asked = 0

    def logits(self, images: Any) -> Any:
        self.asked += len(images)
        return np.zeros((len(images), self.classes))


def examiner(dataset: str) -> ComputerVisionClassificationExaminer:
    return ComputerVisionClassificationExaminer(dataset, "tiny", DOMAIN.config(dataset, "tiny"))


def test_the_nine_published_sets_are_there() -> None:
    configured = {DOMAIN.config(dataset, "tiny")["IMAGES"] for dataset in PUBLISHED}
    assert configured == set(published.READERS)
    assert len(PUBLISHED) == 9


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_a_published_set_is_trained_on_and_examined(dataset: str, tmp_path: Path) -> None:
    exam = examiner(dataset)
    config = exam.config
    files.WRITERS[config["IMAGES"]](tmp_path)
    written = {each.name for each in DOMAIN.specification.datasets[dataset].to_fetch}
    assert written == {path.name for path in tmp_path.iterdir()}  # the files are those that would be fetched
    exam.data = tmp_path
    data = exam.training_data(0)
    shape = (config["HEIGHT"], config["WIDTH"], config["NUM_CHANNELS"])
    assert data["train_images"].shape[1:] == data["validation_images"].shape[1:] == shape
    assert data["train_images"].dtype == np.uint8
    model = Zero(config["NUM_CLASSES"])
    test = exam.images(0).test
    found = exam.examine(InProcessLearner(model, state={"model": {"weight": np.zeros(1)}}), 0)
    assert model.asked >= len(test) > 0
    assert found["accuracy"] == (test.y == 0).mean()
    original = published.load(config["IMAGES"], tmp_path, holdout=Holdout(), size=config["HEIGHT"]).test
    assert not {x.tobytes() for x in test.x} & {x.tobytes() for x in original.x}
    assert exam.floor(0)["accuracy"] < 1.0
    training = {x.tobytes() for x in np.concatenate([data["train_images"], data["validation_images"]])}
    if dataset not in PHOTOGRAPHS:  # those are of one colour per class here
        assert not training & {x.tobytes() for x in test.x}


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_a_set_that_was_not_fetched_is_named_with_the_command(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=f"data fetch ComputerVisionClassification {dataset}"):
        DOMAIN.held_data(dataset, tmp_path)
    with pytest.raises(FileNotFoundError, match="have not been fetched"):
        examiner(dataset).training_data(0)
