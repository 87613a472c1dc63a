"""Agents: network, optimiser, learner step, environment, replay, and meta-training at a tiny size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from discoenv.kits.disco103 import AgentNetwork, DiscoUpdateRule, Rollout, init_learner, learner_step  # noqa: E402
from discoenv.kits.disco103.catch import ACTIONS, Catch  # noqa: E402
from discoenv.kits.disco103.meta_training import MetaSettings, meta_train, vtrace  # noqa: E402
from discoenv.kits.disco103.optim import clipped_adam, init_adam  # noqa: E402
from discoenv.kits.disco103.training import Actor, Replay, Settings, learn_catch  # noqa: E402

SMALL = {"torso": (8, 8), "lstm": 4, "head": 4}


@pytest.fixture(scope="module")
def rule() -> DiscoUpdateRule:
    """A rule that is not yet trained, but for its gate, which a new rule keeps closed until the second learner step."""
    rule = DiscoUpdateRule()
    rule.meta_net.reset_parameters(torch.Generator().manual_seed(0))
    torch.nn.init.constant_(rule.meta_net.gate.bias, 0.5)
    return rule


def rollout_of(network: AgentNetwork, states: int = 6, num_envs: int = 4, seed: int = 0) -> Rollout:
    params = {name: x.detach() for name, x in network.named_parameters()}
    return Actor(Catch(num_envs, 5, 5, seed), network, seed).rollout(params, states)


# --- network and optimiser --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 5, 1), (4,)])
def test_the_network_gives_all_outputs(shape: tuple[int, ...]) -> None:
    out = AgentNetwork(shape, 3, **SMALL)(torch.zeros(7, 2, *shape))  # type: ignore[arg-type]
    shapes = {"logits": (3,), "y": (600,), "z": (3, 600), "q": (3, 601), "aux_pi": (3, 3)}
    assert {name: tuple(x.shape) for name, x in out.items()} == {name: (7, 2, *s) for name, s in shapes.items()}


def test_the_model_of_actions_is_one_step_of_an_lstm() -> None:
    network = AgentNetwork((4,), 3, **SMALL)  # type: ignore[arg-type]
    torch.nn.init.normal_(network.model.bias)
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    c = network.root(network.torso(x))
    found = network(x)["q"]
    for action in range(3):
        taken = torch.nn.functional.one_hot(torch.full((2,), action), 3).float()
        i, g, f, o = network.model(torch.cat([taken, c.tanh()], -1)).chunk(4, -1)
        after = (f + 1).sigmoid() * c + i.sigmoid() * g.tanh()
        torch.testing.assert_close(found[:, action], network.of_actions["q"](o.sigmoid() * after.tanh()))


def test_the_optimiser_is_adam_with_clipped_updates() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = {"w": torch.randn(5, generator=generator)}
    theirs = torch.nn.Parameter(ours["w"].clone())
    adam = torch.optim.Adam([theirs], lr=0.1)
    state = init_adam(ours)
    for _ in range(5):
        gradient = torch.randn(5, generator=generator)
        theirs.grad = gradient
        adam.step()
        ours, state = clipped_adam(ours, {"w": gradient}, state, 0.1, max_update=10)
        torch.testing.assert_close(ours["w"], theirs.detach(), rtol=1e-4, atol=1e-5)
    ours = {"w": torch.zeros(3)}
    state = init_adam(ours)
    for gradient in [0.0] * 10 + [1.0] * 15:  # a change that Adam would follow by more than its learning rate
        before = ours["w"]
        ours, state = clipped_adam(ours, {"w": torch.full((3,), gradient)}, state, 0.1)
    assert float(state.m["w"][0] / state.v["w"][0].sqrt()) > 1
    torch.testing.assert_close(before - ours["w"], torch.full((3,), 0.1))


# --- learner step -----------------------------------------------------------------------------------------------------


def test_a_learner_step_moves_all_parameters_and_the_target_network(rule: DiscoUpdateRule) -> None:
    torch.manual_seed(1)
    network = AgentNetwork((5, 5, 1), ACTIONS, **SMALL)  # type: ignore[arg-type]
    first = init_learner(rule, network)
    second, _, logs = learner_step(rule, network, first, rollout_of(network), 1e-2)
    third, _, _ = learner_step(rule, network, second, rollout_of(network), 1e-2)
    assert all((x != second.params[name]).any() for name, x in first.params.items())
    assert not any(x.requires_grad for x in second.params.values())
    assert {*logs} == {"pi_loss", "y_loss", "z_loss", "aux_loss", "q_loss", "loss"}
    for name, x in first.params.items():
        torch.testing.assert_close(second.meta["target_params"][name], x)  # it follows what computed the step
        torch.testing.assert_close(third.meta["target_params"][name], 0.9 * x + 0.1 * second.params[name])
    assert (third.meta["rnn_state"][0] != second.meta["rnn_state"][0]).any()


def test_the_first_action_of_an_episode_has_no_loss(rule: DiscoUpdateRule) -> None:
    network = AgentNetwork((5, 5, 1), ACTIONS, **SMALL)  # type: ignore[arg-type]
    rollout = rollout_of(network, states=8)
    starts = rollout.discounts[:-1] == 0
    assert starts.any()
    state = init_learner(rule, network)
    _, targets, logs = learner_step(rule, network, state, rollout)
    inputs = rollout.inputs(network(rollout.observations))
    loss = rule.agent_loss(inputs, targets)[0] + rule.agent_loss_no_meta(inputs, targets)[0]
    torch.testing.assert_close(logs["loss"], loss[~starts].mean().detach())


def test_meta_training_differentiates_the_step_as_finite_differences_do() -> None:
    torch.manual_seed(0)
    rule = DiscoUpdateRule().double()
    torch.nn.init.constant_(rule.meta_net.gate.bias, 0.5)
    network = AgentNetwork((5, 5, 1), ACTIONS, **SMALL).double()  # type: ignore[arg-type]
    rollout = rollout_of(network)
    state = init_learner(rule, network)
    weights = {name: torch.randn_like(x) for name, x in state.params.items()}

    def moment() -> Any:
        # The optimiser's first moment is a tenth of the gradient, before the denominator, which is a constant.
        after, _, _ = learner_step(rule, network, state, rollout, meta_training=True)
        return sum((weights[name] * x).sum() for name, x in after.optimizer.m.items())

    for parameter in (rule.meta_net.y_head.bias, rule.meta_net.gate.bias, rule.meta_net.features.z_net[0].weight):
        (gradient,) = torch.autograd.grad(moment(), parameter)
        direction = torch.randn_like(parameter)
        found = []
        for step in (1e-5, -2e-5):
            parameter.data.add_(direction, alpha=step)
            found.append(float(moment().detach()))
        parameter.data.add_(direction, alpha=1e-5)
        numerical = (found[0] - found[1]) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(numerical, rel=1e-5, abs=1e-12)


def test_meta_gradients_flow_through_several_steps(rule: DiscoUpdateRule) -> None:
    network = AgentNetwork((5, 5, 1), ACTIONS, **SMALL)  # type: ignore[arg-type]
    state = init_learner(rule, network)
    plain = state
    for seed in range(2):
        rollout = rollout_of(network, seed=seed)
        state, _, _ = learner_step(rule, network, state, rollout, meta_training=True)
        plain, _, _ = learner_step(rule, network, plain, rollout)
    for name, x in plain.params.items():
        torch.testing.assert_close(state.params[name].detach(), x, rtol=1e-4, atol=1e-5)
    total = sum(x.square().sum() for x in state.params.values())
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(total, list(rule.parameters())))


# --- environment and replay -------------------------------------------------------------------------------------------


def test_catch_rewards_a_paddle_under_the_ball() -> None:
    env = Catch(200, 5, 4, seed=1)
    step = env.reset()
    assert step.observations.shape == (200, 5, 4, 1)
    ball, paddle = step.observations[:, 0, :, 0].argmax(-1), np.full(200, 2)
    np.testing.assert_array_equal(step.observations[:, -1, :, 0].argmax(-1), paddle)
    assert set(ball) == {0, 1, 2, 3}
    for row in range(1, 5):
        actions = np.sign(ball - paddle) + 1
        paddle = np.clip(paddle + actions - 1, 0, 3)
        step = env.step(actions)
        if row < 4:
            assert (step.rewards == 0).all()
            assert (step.discounts == 1).all()
            np.testing.assert_array_equal(step.observations[:, row, :, 0].argmax(-1) if row < 3 else ball, ball)
    assert (step.rewards == 1).all()
    assert (step.discounts == 0).all()
    assert (step.observations[:, 0].sum((1, 2)) == 1).all()  # the next episode's first state


def test_a_random_policy_catches_by_chance() -> None:
    env, random = Catch(2000, 5, 5, seed=0), np.random.default_rng(1)
    env.reset()
    for _ in range(4):
        step = env.step(random.integers(3, size=2000))
    assert step.rewards.mean() == pytest.approx(2 / 5 - 1, abs=0.06)


def test_rollouts_follow_each_other() -> None:
    network = AgentNetwork((5, 5, 1), ACTIONS, **SMALL)  # type: ignore[arg-type]
    params = {name: x.detach() for name, x in network.named_parameters()}
    whole = Actor(Catch(3, seed=2), network, 5).rollout(params, 8)
    actor = Actor(Catch(3, seed=2), network, 5)
    parts = [actor.rollout(params, 4), actor.rollout(params, 4)]
    for one, other in zip(whole, (torch.cat(x) for x in zip(*parts, strict=True)), strict=True):
        torch.testing.assert_close(one, other)
    assert len(actor.returns) == 3
    assert set(actor.returns) <= {-1.0, 1.0}
    assert whole.discounts[4].tolist() == [0, 0, 0]


def test_replay_drops_the_oldest() -> None:
    replay = Replay(capacity=3, seed=0)
    for i in range(4):
        replay.add(Rollout(*(torch.full((2, 1), i) for _ in range(5))))
    assert len(replay) == 3
    drawn = replay.sample(200)
    assert drawn.actions.shape == (2, 200)
    assert set(drawn.actions.flatten().tolist()) == {1, 2, 3}


# --- training ---------------------------------------------------------------------------------------------------------


def test_training_starts_when_a_batch_is_stored_and_repeats_itself(rule: DiscoUpdateRule) -> None:
    settings = Settings(**SMALL, unroll=9, batch=4)  # type: ignore[arg-type]
    runs = [learn_catch(rule, 4, seed=3, settings=settings) for _ in range(2)]
    (one, returns), (other, _) = runs
    assert len(returns) == 4
    assert one.optimizer.count == 3
    assert all(torch.equal(x, other.params[name]) for name, x in one.params.items())


def test_vtrace() -> None:
    random = np.random.default_rng(0)
    v, (r, d) = random.normal(size=(6, 2)), random.normal(size=(2, 5, 2))
    rho = np.exp(random.normal(size=(5, 2)))
    clipped, vs = np.minimum(rho, 1), v.copy()
    for t in range(4, -1, -1):
        vs[t] = v[t] + clipped[t] * (r[t] + d[t] * v[t + 1] - v[t]) + d[t] * 0.9 * clipped[t] * (vs[t + 1] - v[t + 1])
    ahead = np.concatenate([0.9 * vs[1:-1] + 0.1 * v[1:-1], v[-1:]])
    values, rewards, discounts, ratios = (torch.from_numpy(x) for x in (v, r, d, rho))
    errors, advantages = vtrace(values, rewards, discounts, ratios, 0.9)
    np.testing.assert_allclose(errors, vs[:-1] - v[:-1], rtol=1e-10)
    np.testing.assert_allclose(advantages, clipped * (r + d * ahead - v[:-1]), rtol=1e-10)


def test_meta_training_changes_every_weight_and_repeats_itself() -> None:
    settings = MetaSettings(num_envs=4, unroll=6, **SMALL, value_torso=(8, 8))  # type: ignore[arg-type]
    runs = []
    for _ in range(2):
        rule = DiscoUpdateRule()
        rule.meta_net.reset_parameters(torch.Generator().manual_seed(0))
        before = [x.detach().clone() for x in rule.parameters()]
        returns = meta_train(rule, 2, seed=1, settings=settings)
        assert len(returns) == 2
        assert all((x != y).any() for x, y in zip(before, rule.parameters(), strict=True))
        assert all(x.isfinite().all() for x in rule.parameters())
        runs.append([x.detach().clone() for x in rule.parameters()])
    assert all(torch.equal(x, y) for x, y in zip(*runs, strict=True))
