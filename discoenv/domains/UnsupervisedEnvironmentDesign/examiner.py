"""Examines policies: plays held-out levels, of kinds that training does not draw, with the domain's own network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from discoenv.exams.examiner import Examiner, Learner, ProtocolError, RuleBroken, State
from discoenv.kits.worlds import environments

from . import heldout

#: Levels of which an exam saves a way, for pictures.
_DRAWN = 12


class UnsupervisedEnvironmentDesignExaminer(Examiner):
    """Plays EVALUATION_LEVELS levels, EVALUATION_ATTEMPTS times each, with the policies of all CHECKPOINTS.

    Actions are drawn from the policies, with random numbers of the examiner. An attempt is one episode.
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        super().__init__(dataset, scale, config)
        self._env: Any = None
        self._play: Callable[..., Any] | None = None
        self._levels: dict[int, dict[str, np.ndarray[Any, Any]]] = {}

    @property
    def env(self) -> Any:
        """The world. Made late, because some need packages."""
        if self._env is None:
            self._env = environments.make(self.config)
        return self._env

    def held_out(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """The levels of an exam by their fields, and "kind"; the last exam's are kept."""
        if seed not in self._levels:
            generator = self.generator(seed, "levels")
            self._levels = {seed: heldout.make(self.config, generator, self.config["EVALUATION_LEVELS"])}
        return self._levels[seed]

    def prepare_questions(self, seed: int, stage: int) -> None:
        """Make the levels while the learner trains."""
        self.held_out(seed)

    def reference(self) -> dict[str, np.ndarray[Any, Any]]:
        """What arrays a state must have: those of the fixed network, with a leading axis [CHECKPOINTS]; zeros."""
        width, count = self.config["HSIZE"], self.config["CHECKPOINTS"]
        arrays = {}
        for head, outputs in enumerate((self.env.num_actions, 1)):
            sizes = (self.env.obs_dim, width, width, outputs)
            for layer, (inputs, units) in enumerate(itertools.pairwise(sizes)):
                path = f"params/params/Dense_{3 * head + layer}"
                arrays[f"{path}/bias"] = np.zeros((count, units), np.float32)
                arrays[f"{path}/kernel"] = np.zeros((count, inputs, units), np.float32)
        return arrays

    def check_state(self, state: State) -> None:
        """The network is fixed: the arrays must be its own. Training may take so many steps as the configuration says.

        The number is the learner's own, so it finds mistakes, not lies; what bounds a liar is the compute budget.
        """
        state.require_keys("params", "env_steps")
        steps = state.arrays.get("env_steps")
        if steps is None or steps.shape != () or steps.dtype.kind not in "iu":
            raise ProtocolError("state 'env_steps' must be an integer: the number of environment steps of training")
        allowed = self.allowed_steps()
        if not 0 <= steps <= allowed:
            raise RuleBroken(
                f"training took {int(steps):,} environment steps; the configuration allows {allowed:,}: propose and "
                "choose fewer levels in sample_levels.py"
            )
        state["params"].require_like(self.reference())

    def allowed_steps(self) -> int:
        """Environment steps of all cycles: those that score candidates, and those that are trained on."""
        config = self.config
        batch = config["NUM_ENVS"] * config["NUM_STEPS"] * config["UPDATES"]
        scoring = config["CANDIDATES"] * config["ATTEMPTS"] * config["SCORE_STEPS"]
        return int(config["TOTAL_TIMESTEPS"] // batch * (batch + scoring))

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Play all levels in one program: the network is never editable, so the examiner applies it."""
        program = self._play = self._play or self._compiled(learner.code.make_policy(self.answering_config))
        params, taken = learner.state.tree["params"], float(learner.state.arrays["env_steps"])
        return self._measured(seed, taken, lambda *inputs: learner.guarded(program, params, *inputs))

    def floor(self, seed: int) -> dict[str, float]:
        """Metrics of actions drawn uniformly, which an untrained network's almost are."""
        play = self._compiled(lambda params, obs: jnp.zeros((*obs.shape[:-1], self.env.num_actions)))
        none = {"none": np.zeros(self.config["CHECKPOINTS"], np.float32)}
        return self._measured(seed, 0.0, lambda *inputs: play(none, *inputs))

    def _measured(self, seed: int, env_steps: float, play: Callable[..., Any]) -> dict[str, float]:
        levels = self.held_out(seed)
        key = self.generator(seed, "actions").integers(2**32, size=2, dtype=np.uint32)
        fields = {name: array for name, array in levels.items() if name != "kind"}
        solved, steps, places = (np.asarray(each) for each in play(fields, key))
        rates = solved.mean(axis=(0, 1))
        for name, array in fields.items():
            if name != "item" or self.config["ITEM"] != "none":
                self.save_artifact(name, array[:_DRAWN])
        self.save_artifact("solve_rates", rates)
        self.save_artifact("places", places[..., :_DRAWN, :])
        self.save_artifact("steps", steps[-1, 0, :_DRAWN])
        hardest = np.sort(rates)[: max(1, len(rates) // 4)]
        return {
            "solve_rate": float(rates.mean()),
            "last_solve_rate": float(solved[-1].mean()),
            "hardest_solve_rate": float(hardest.mean()),
            "levels_solved": float((rates > 0.5).mean()),
            "steps_mean": float(steps.mean()),
            "env_steps": env_steps,
        }

    def _compiled(self, logits_of: Callable[..., Any]) -> Callable[..., Any]:
        """``play(params, levels, key)``: (solved bool, steps int32) [CHECKPOINTS, ATTEMPTS, LEVELS] and places.

        The places are those of the first attempt of the last checkpoint, float32[MAX_STEPS, LEVELS, 2].
        """
        env, attempts, steps = self.env, self.config["EVALUATION_ATTEMPTS"], self.config["MAX_STEPS"]
        step_all = jax.vmap(jax.vmap(env.step), in_axes=(None, 0, 0))
        place_all = jax.vmap(jax.vmap(env.place))

        def play(params: Any, levels: dict[str, jax.Array], key: jax.Array) -> Any:
            boards = jax.vmap(env.build)(env.level(levels))
            start = jax.vmap(env.start)(boards)
            first = jax.tree.map(lambda x: jnp.broadcast_to(x, (attempts, *x.shape)), start)
            count = first[0].shape[1]

            def one(params: Any, key: jax.Array) -> Any:
                def step(carry: Any, noise: jax.Array) -> Any:
                    obs, state, done, solved, length = carry
                    action = jnp.argmax(logits_of(params, obs) + noise, axis=-1)
                    obs, state, _, ended, now = step_all(boards, state, action)
                    carry = obs, state, done | ended, solved | (now & ~done), length + ~done
                    return carry, place_all(state)[0]

                none = jnp.zeros((attempts, count), bool)
                noise = jax.random.gumbel(key, (steps, attempts, count, env.num_actions))
                carry, places = jax.lax.scan(step, (*first, none, none, none.astype(jnp.int32)), noise)
                return carry[3], carry[4], places

            keys = jax.random.split(jax.random.wrap_key_data(key), len(jax.tree.leaves(params)[0]))
            solved, length, places = jax.lax.map(lambda inputs: one(*inputs), (params, keys))
            return solved, length, places[-1]

        compiled: Callable[..., Any] = jax.jit(play)
        return compiled
