"""The same numbers as the published implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from discoenv.kits.meta_rl.advantages import gae
from discoenv.kits.meta_rl.agents import Agent, agent_update
from discoenv.kits.meta_rl.gridworld import GridWorld, Indexed, Level, State, optimal_return
from discoenv.kits.meta_rl.modes import TABLES
from discoenv.kits.meta_rl.optimisers import Trained
from discoenv.kits.meta_rl.rollouts import Rollout
from discoenv.kits.meta_rl.rule_net import LPG, from_flax

WORLDS = {"small": GridWorld(6, 3, 3), "sparse": GridWorld(13, 2, 2), "dense": GridWorld(11, 4, 3)}
LEVELS = [*(f"small{i}" for i in range(6)), "sparse0", "sparse1", "dense0"]


def tree(reference: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Arrays below a prefix, as nested dictionaries."""
    nested: dict[str, Any] = {}
    for name, array in reference.items():
        if name.startswith(prefix):
            *path, last = name.removeprefix(prefix).split("/")
            node = nested
            for part in path:
                node = node.setdefault(part, {})
            node[last] = array
    return nested


@pytest.mark.parametrize(("case", "conditioning"), [("plain", "none"), ("life", "repo_raw")])
def test_the_network_gives_the_published_outputs(reference: Mapping[str, Any], case: str, conditioning: Any) -> None:
    names = {"reward": "r", "done": "d", "pi": "pi", "y": "yt", "y_next": "yt1"}
    given = {ours: jnp.asarray(reference[f"lpg/in/{theirs}"]) for ours, theirs in names.items()}
    params = from_flax(tree(reference, f"lpg/{case}/params/"))
    out = LPG(conditioning=conditioning).apply(params, **given, step=jnp.int32(7), lifetime=jnp.int32(250))
    np.testing.assert_allclose(out.pi_hat, reference[f"lpg/{case}/pi_hat"][..., 0], atol=1e-5)
    np.testing.assert_allclose(out.y_hat, reference[f"lpg/{case}/y_hat"], atol=1e-5)


def test_an_update_changes_the_agent_as_the_published_one(reference: Mapping[str, Any]) -> None:
    given = tree(reference, "agent/rollout/")
    dense = np.concatenate([given["obs"], given["next_obs"][:, -1:]], 1)
    observations = Indexed(jnp.asarray(dense[..., :-1].argmax(-1)), jnp.asarray(dense[..., -1]))
    np.testing.assert_array_equal(observations.dense(dense.shape[-1]), dense)
    rollout = Rollout(observations, *(jnp.asarray(given[name]) for name in ("action", "reward", "done")))
    actor, critic = (Trained([{"w": reference[f"agent/{name}0/Dense_0/kernel"]}], ()) for name in ("actor", "critic"))
    agent = Agent(actor, critic, jnp.int32(0))
    params = from_flax(tree(reference, "lpg/plain/params/"))
    update = jax.jit(lambda agent, params: agent_update(agent, rollout, params, LPG(), jnp.int32(250), TABLES))
    after, stats = update(agent, params)
    for name, trained in (("actor", after.actor), ("critic", after.critic)):
        kernel = reference[f"agent/{name}1/Dense_0/kernel"]
        assert abs(kernel - reference[f"agent/{name}0/Dense_0/kernel"]).max() > 1e-3
        np.testing.assert_allclose(trained.params[0]["w"], kernel, atol=1e-5)
    ours = [stats.critic_loss, stats.policy_l2, stats.target_l2]
    np.testing.assert_allclose(ours, reference["agent/metrics"], atol=1e-5)
    assert after.step == reference["agent/step"]


def test_advantages_are_the_published_ones(reference: Mapping[str, Any]) -> None:
    reward, done, value = (jnp.asarray(reference[f"gae/{name}"]) for name in ("reward", "done", "value"))
    advantages, targets = gae(reward, done, value, 0.99, 0.95)
    np.testing.assert_allclose(advantages, reference["gae/adv"], atol=1e-5)
    np.testing.assert_allclose(targets, reference["gae/target"], atol=1e-5)


def level_of(reference: Mapping[str, Any], name: str) -> Level:
    """A level of the reference as ours."""
    fields = {
        "max_steps": "max_steps_in_episode", "grid_size": "grid_size", "n_objects": "n_objs", "walls": "walls",
        "start": "start_pos", "cells": "static_obj_poss", "types": "obj_ids", "rewards": "obj_rewards",
        "p_terminate": "obj_p_terminate", "p_respawn": "obj_p_respawn",
    }  # fmt: skip
    return Level(**{ours: jnp.asarray(reference[f"level/{name}/{theirs}"]) for ours, theirs in fields.items()})


@pytest.mark.parametrize("name", LEVELS)
def test_episodes_start_and_go_on_as_in_the_published_levels(reference: Mapping[str, Any], name: str) -> None:
    world, level = WORLDS[name[:-1]], level_of(reference, name)
    state = world.reset(jax.random.key(0), level, 1)
    assert world.observe(state, level).index[0] == reference[f"level/{name}/reset_obs_idx"][0]
    step = jax.jit(world.step)
    # Respawns and endings are drawn: nothing ends an episode here, and the objects are those of the reference.
    level, collected = level._replace(p_terminate=0 * level.p_terminate, max_steps=jnp.int32(1000)), 0
    for t, (action, cell, reward, _, *exists) in enumerate(reference[f"level/{name}/trace"]):
        after, reward_now, _ = step(jax.random.key(t), state, jnp.int32(action)[None], level)
        np.testing.assert_allclose(reward_now[0], reward, atol=1e-6)
        assert after.cell[0] == cell
        collected += reward != 0
        state = State(jnp.int32(t + 1)[None], jnp.int32(cell)[None], jnp.asarray(exists, bool)[None], state.cells)
    assert collected or name in ("small1", "sparse0", "sparse1", "dense0")


@pytest.mark.parametrize("name", [name for name in LEVELS if name != "dense0"])
def test_optimal_returns_are_the_published_ones(reference: Mapping[str, Any], name: str) -> None:
    ours = jax.jit(optimal_return, static_argnums=0)(WORLDS[name[:-1]], level_of(reference, name))
    np.testing.assert_allclose(ours, reference[f"level/{name}/optimal_return"], atol=1e-4)
