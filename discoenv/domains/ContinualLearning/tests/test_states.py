"""What a ContinualLearning learner hands over: what is refused, and what the next experience gets of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.ContinualLearning import rounding
from discoenv.domains.ContinualLearning.examiner import COPIES, EXACT_BYTES, MODULE_BITS, NETWORK_BITS
from discoenv.domains.ContinualLearning.studies.comparison import learner, sent, stages
from discoenv.domains.ContinualLearning.tests.conftest import examined, handed_over, learned, short
from discoenv.exams.examiner import ProtocolError, RuleBroken

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def exam_() -> Any:
    return short(MEMORY_BYTES=1000)  # 14 items of 64 + 4 bytes


@pytest.fixture
def honest(code: Any, exam_: Any) -> dict[str, Any]:
    """What the base modules hand over after the first experience."""
    state: dict[str, Any] = sent(learned(code, exam_, 1).state())
    return state


def size(state: dict[str, Any]) -> int:
    """Number of parameters."""
    return sum(array.size for array in state["network"].values())


# --- the trusted side -------------------------------------------------------------------------------------------------


def test_the_next_experience_gets_rounded_numbers_and_the_items_that_were_kept(
    code: Any, exam_: Any, honest: dict[str, Any]
) -> None:
    carried = examined(code, exam_, honest)
    assert set(carried) == {"network", "classes", "memory", "modules"}
    train = exam_.experiences(0)[0].train
    np.testing.assert_array_equal(carried["memory"]["images"], train.x[honest["kept"]])
    np.testing.assert_array_equal(carried["memory"]["labels"], train.y[honest["kept"]])
    np.testing.assert_array_equal(carried["memory"]["tasks"], np.zeros(14))
    assert carried["modules"]["replay"] == {"seen": 64}
    for name, array in honest["network"].items():
        found = carried["network"][name]
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert len(np.unique(found)) <= 2**NETWORK_BITS - 1
        importance = carried["modules"]["regularizer"]["importance"][name]
        assert len(np.unique(importance)) <= 2**MODULE_BITS


def test_memories_are_made_of_the_last_one_and_of_the_experience(code: Any, exam_: Any, honest: dict[str, Any]) -> None:
    examined(code, exam_, honest)
    classes = np.stack([np.unique(each.train.y) for each in exam_.experiences(0)[:2]])
    second = honest | {"classes": classes, "kept": np.array([13, 14, 0])}
    memory = examined(code, exam_, second, 1)["memory"]
    first, new = (each.train for each in exam_.experiences(0)[:2])
    wanted = np.stack([first.x[honest["kept"][13]], new.x[0], first.x[honest["kept"][0]]])
    np.testing.assert_array_equal(memory["images"], wanted)
    assert memory["tasks"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (np.arange(15), "15 items of 68 bytes; 14 fit"),
        (np.array([3, 3]), "more than once"),
        (np.array([64]), "rows from 64 to 64 of 64 items"),
        (np.array([-1]), "rows from -1"),
        (np.zeros((2, 64, 64)), "must be an array of int64"),
    ],
)
def test_a_memory_that_is_forged_is_refused(
    code: Any, exam_: Any, honest: dict[str, Any], kept: Any, message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        examined(code, exam_, honest | {"kept": kept})


def test_items_that_were_let_go_do_not_come_back(code: Any, exam_: Any, honest: dict[str, Any]) -> None:
    """There is no way to name them, and images are not taken from a learner."""
    with pytest.raises(ProtocolError, match="has 'images' too"):
        examined(code, exam_, honest | {"images": exam_.experiences(0)[0].train.x})


def test_another_network_is_refused(code: Any, exam_: Any, honest: dict[str, Any]) -> None:
    network = honest["network"]
    wide = network | {"head.weight": np.zeros((20, network["head.weight"].shape[1]), np.float32)}
    doubled = network | {"head.weight": network["head.weight"].astype(np.float64)}
    more = network | {"storage": np.zeros(10_000, np.float32)}
    for changed, message in ((wide, "head.weight"), (doubled, "float64"), (more, "storage.*not used")):
        with pytest.raises(ProtocolError, match=message):
            examined(code, exam_, honest | {"network": changed})
    with pytest.raises(ProtocolError, match="'classes' must be the classes"):
        examined(code, exam_, honest | {"classes": honest["classes"] + 1})


def test_modules_keep_no_more_than_is_allowed(code: Any, exam_: Any, honest: dict[str, Any]) -> None:
    allowed = COPIES * size(honest)
    for name, state, message in (
        ("optim", {"storage": np.zeros(allowed + 1, np.float32)}, f"{allowed:,} are allowed.*modules/optim/storage"),
        ("replay", {"table": np.zeros(EXACT_BYTES + 1, np.uint8)}, "1,024 are allowed.*modules/replay/table"),
        ("sampler", {"each": [1] * (EXACT_BYTES // 8 + 1)}, "1,024 are allowed.*modules/sampler/each"),
        ("scheduler", {"rates": [0.1] * (EXACT_BYTES // 8 + 1)}, "1,024 are allowed.*modules/scheduler/rates"),
    ):
        with pytest.raises(RuleBroken, match=message):
            examined(code, exam_, honest | {"modules": {name: state}})
    most = {"optim": {"a": np.ones(allowed, np.float16)}, "replay": {"b": np.zeros(EXACT_BYTES, np.uint8)}}
    assert set(examined(code, exam_, honest | {"modules": most})["modules"]) == {"optim", "replay"}


def test_images_do_not_survive_in_the_numbers_of_modules_and_parameters(
    code: Any, exam_: Any, honest: dict[str, Any]
) -> None:
    """Of 64 pixels that are stored in as many numbers, no more than their bits are left."""
    pixels = np.tile(exam_.experiences(0)[0].train.x.reshape(-1) / 255.0, 3).astype(np.float32)
    low = honest["network"]["trunk.layers.4.weight"].copy()
    low += 1e-5 * pixels[: low.size].reshape(low.shape)  # in digits that no one would miss
    stored = honest | {
        "network": honest["network"] | {"trunk.layers.4.weight": low},
        "modules": {"regularizer": {"storage": pixels[:256]}},
    }
    carried = examined(code, exam_, stored)
    assert len(np.unique(carried["modules"]["regularizer"]["storage"])) <= 4
    step = 2.0 ** np.ceil(np.log2(np.abs(low).max())) / (2 ** (NETWORK_BITS - 1) - 1)
    np.testing.assert_allclose(carried["network"]["trunk.layers.4.weight"] % step, 0.0, atol=step * 1.01)
    assert step > 100 * 1e-5


@pytest.mark.parametrize("bits", [2, 6])
def test_even_rounding_keeps_the_mean_and_has_few_levels(bits: int) -> None:
    generator = np.random.default_rng(0)
    values = np.linspace(-0.9, 1.0, 7).astype(np.float32)
    found = np.array([rounding.evenly(values, bits, generator) for _ in range(4000)])
    assert found.dtype == np.float32
    assert len(np.unique(found)) <= 2**bits - 1
    assert np.abs(found).max() <= 1.0
    np.testing.assert_allclose(found.mean(axis=0), values, atol=0.04)
    np.testing.assert_array_equal(rounding.evenly(np.zeros((2, 3)), bits, generator), np.zeros((2, 3)))


@pytest.mark.parametrize(("low", "bits", "levels"), [(0.0, 2, 4), (-1.0, 3, 7)])
def test_geometric_rounding_keeps_the_mean_and_small_numbers(low: float, bits: int, levels: int) -> None:
    generator = np.random.default_rng(0)
    values = np.array([low, 1e-4, 0.003, 0.02, 0.3, 1.0])
    found = np.array([rounding.geometrically(values, bits, 8.0, generator) for _ in range(20_000)])
    assert len(np.unique(found)) <= levels
    np.testing.assert_allclose(found.mean(axis=0), values, atol=0.01, rtol=0.1)
    assert rounding.geometrically(np.zeros(0), bits, 8.0, generator).shape == (0,)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounded_numbers_are_finite(dtype: Any) -> None:
    generator, values = np.random.default_rng(0), np.array([np.finfo(dtype).max, 1.0, 0.0, np.finfo(dtype).tiny], dtype)
    for found in (rounding.evenly(values, 6, generator), rounding.geometrically(values, 2, 8.0, generator)):
        assert found.dtype == dtype
        assert np.isfinite(found).all()


# --- what modules keep ------------------------------------------------------------------------------------------------


def module(code: Any, state: Any, **functions: Any) -> Any:
    return code.carrying.Module.of("replay.py", SimpleNamespace(state_dict=lambda: state, **functions))


def test_a_module_gets_the_tree_that_it_returned_with_tensors_for_arrays(code: Any) -> None:
    given: list[Any] = []
    tree = {"a": torch.arange(3), "b": [np.ones((2, 2)), {"c": torch.ones(2, dtype=torch.bfloat16)}], "n": 3, "x": 0.5}
    kept = module(code, tree, load_state_dict=given.append)
    kept.load(sent(kept.state()), torch.device("cpu"))
    [found] = given
    assert found["n"] == 3
    assert found["x"] == 0.5
    assert torch.equal(found["a"], torch.arange(3))
    assert torch.equal(found["b"][0], torch.ones(2, 2, dtype=torch.float64))
    assert torch.equal(found["b"][1]["c"], torch.ones(2))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": None}, r"replay.py: state_dict\(\)\['a'\] is NoneType; expected an array or a number"),
        ({"a": [{"b": "text"}]}, r"state_dict\(\)\['a'\]\[0\]\['b'\] is str"),
        ({3: 1.0}, "has the key 3; keys must be text"),
        ([1.0], "returned list; expected a dict"),
    ],
)
def test_a_state_of_other_things_is_refused_with_the_name_of_the_module(code: Any, state: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        module(code, state, load_state_dict=print).state()


def test_half_of_the_interface_is_refused(code: Any) -> None:
    with pytest.raises(TypeError, match=r"replay.py has state_dict\(\) but no load_state_dict\(\); write both"):
        module(code, {})
    assert code.carrying.Module.of("sampler.py", object()).state() == {}


def test_an_optimiser_keeps_only_what_its_functions_say(code: Any, exam_: Any) -> None:
    """Each experience has a new optimiser, whose own state_dict() is not used."""
    given: list[Any] = []
    for model, _ in handed_over(code, exam_, 2):
        assert model.state()["modules"].keys() == {"regularizer", "replay"}
    code.optim.state_dict = lambda optimizer: {"steps": float(next(iter(optimizer.state.values()))["step"])}
    code.optim.load_state_dict = lambda optimizer, state: given.append(state)
    try:
        handed_over(code, exam_, 2)
    finally:
        del code.optim.state_dict, code.optim.load_state_dict
    assert given == [{"steps": 2.0}]


def test_the_previous_network_is_what_the_regularizer_is_given_first(code: Any, exam_: Any) -> None:
    anchors: list[Any] = []
    found = stages(code, exam_, 0, lambda model: anchors.append(model.parameters()))
    carried = [exam_.carried_state(state, 0, stage)["network"] for stage, (_, state, _) in enumerate(found)]
    for before, after in zip(carried, anchors[1:], strict=False):
        for name, array in before.items():
            np.testing.assert_array_equal(array, after[name].numpy())


def test_experiences_have_seeds_of_their_own(code: Any, exam_: Any, honest: dict[str, Any]) -> None:
    previous = examined(code, exam_, honest)
    first, second = learner(code, exam_.config, 0), learner(code, exam_.config, 0, previous)
    assert first.generator.initial_seed() != second.generator.initial_seed()
    assert second.task == 1
    assert second.step == second.steps_per_experience
