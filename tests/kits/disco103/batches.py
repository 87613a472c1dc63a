"""Batches of invented experience, by the recipe of the reference data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from discoenv.kits.disco103 import AgentOutputs, UpdateRuleInputs

OUTPUTS = ("logits", "y", "z", "q", "aux_pi")


class Batch(NamedTuple):
    """A batch, and what the target network says about it."""

    inputs: UpdateRuleInputs
    target: AgentOutputs

    def unroll(self, params: Any, observations: Any, should_reset: Any) -> tuple[AgentOutputs, None]:
        """A network that returns the target's outputs."""
        return self.target, None


class Case(NamedTuple):
    """Shapes and numbers of a case; step k has the seed ``seed + k``."""

    seed: int
    T: int
    B: int
    A: int
    terminal: float
    steps: int
    scale: float


CASES = {
    "mild": Case(6000, 28, 8, 3, 0.14, 3, 0.02),
    "small": Case(1000, 5, 2, 3, 0.2, 4, 1),
    "catch": Case(2000, 28, 8, 3, 0.14, 3, 1),
    "wide": Case(3000, 9, 4, 18, 0.1, 2, 1),
    "short": Case(4000, 2, 3, 2, 0.3, 2, 1),
}


def batch_of(case: Case, step: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
    """The batch of one learner step."""
    arrays = arrays_of(case, step)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    floats = {name: x.to(dtype) if x.is_floating_point() else x for name, x in tensors.items()}
    out = AgentOutputs(**{name: floats[name].requires_grad_() for name in OUTPUTS})  # type: ignore[typeddict-item]
    target = AgentOutputs(**{name: floats[f"tgt_{name}"] for name in OUTPUTS})  # type: ignore[typeddict-item]
    inputs = UpdateRuleInputs(
        observations=torch.zeros(case.T + 1, case.B, 1, dtype=dtype),
        actions=tensors["actions"],
        rewards=floats["rewards"],
        is_terminal=tensors["is_terminal"],
        agent_out=out,
        behaviour_agent_out=AgentOutputs(logits=floats["beh_logits"]),
    )
    return Batch(inputs, target)


def arrays_of(case: Case, step: int = 0) -> dict[str, Any]:
    """The same as NumPy arrays, float32."""
    random = np.random.default_rng(case.seed + step)
    t, b, a = case.T, case.B, case.A
    shapes = {"logits": (a,), "y": (600,), "z": (a, 600), "q": (a, 601), "aux_pi": (a, a), "beh_logits": (a,)}
    shapes |= {f"tgt_{name}": shapes[name] for name in OUTPUTS}
    arrays: dict[str, Any] = {
        name: random.standard_normal((t + 1, b, *shape)).astype(np.float32) for name, shape in shapes.items()
    }
    arrays["actions"] = random.integers(0, a, (t + 1, b))
    arrays["rewards"] = random.standard_normal((t, b)).astype(np.float32)
    arrays["is_terminal"] = random.random((t, b)) < case.terminal
    for name in ("y", "z", "q"):
        for key in (name, f"tgt_{name}"):
            arrays[key] = arrays[key] * np.float32(case.scale)
    return arrays
