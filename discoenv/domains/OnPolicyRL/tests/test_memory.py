"""OnPolicyRL's backends with a memory, against plain NumPy: what they remember, and when they forget."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OnPolicyRL.tests.conftest import DOMAIN, MEMORIES, actor_critic
from discoenv.testing import import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")

STEPS, ENVS, FEATURES = 11, 3, 5
SMALL = {
    **DOMAIN.config("MinAtar/Breakout", "tiny"),
    **{"HSIZE": 8, "EMBEDDING_SIZE": 6, "NUM_HEADS": 2, "NUM_LAYERS": 2, "MEMORY_LENGTH": 4},
    **{"NUM_ENVS": 4, "NUM_STEPS": 8, "NUM_MINIBATCHES": 2, "TOTAL_TIMESTEPS": 96},
}


@pytest.fixture(scope="module", params=MEMORIES)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def code(backend: str) -> Iterator[Any]:
    with import_learner(DOMAIN, backend=backend) as modules:
        yield modules


@pytest.fixture(scope="module")
def network(code: Any) -> Any:
    return code.networks.ActorCritic(3, code.run_config.get_config(SMALL), jnp.tanh)


@pytest.fixture(scope="module")
def params(network: Any) -> Any:
    """Parameters none of which is zero, as biases and positions are at first."""
    obs, first = jnp.zeros((1, ENVS, FEATURES)), jnp.ones((1, ENVS), bool)
    params = jax.jit(network.init)(jax.random.key(0), network.initial_memory(ENVS), obs, first)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: (leaf + 0.3 * rng.normal(size=leaf.shape)).astype(np.float32), params)


def episodes(seed: int = 0) -> tuple[Any, Any]:
    """Observations [STEPS, ENVS, FEATURES] and where episodes begin; in the last environment none does."""
    rng = np.random.default_rng(seed)
    first = rng.random((STEPS, ENVS)) < 0.3
    first[:, -1] = False
    return rng.normal(size=(STEPS, ENVS, FEATURES)).astype(np.float32), first


def read(network: Any, params: Any, obs: Any, first: Any, memory: Any = None) -> tuple[Any, Any, Any]:
    """(memory, logits, value) after reading observations of all times at once."""
    memory = network.initial_memory(obs.shape[1]) if memory is None else memory
    memory, pi, value = apply(network)(params, memory, jnp.asarray(obs), jnp.asarray(first))
    return memory, np.asarray(pi.logits), np.asarray(value)


@functools.cache
def apply(network: Any) -> Any:
    return jax.jit(network.apply)


# --- memory -----------------------------------------------------------------------------------------------------------


def test_reading_at_once_is_reading_one_by_one(network: Any, params: Any) -> None:
    obs, first = episodes()
    memory, logits, value = read(network, params, obs, first)
    now = network.initial_memory(ENVS)
    for t in range(STEPS):
        now, logits_now, value_now = read(network, params, obs[t : t + 1], first[t : t + 1], now)
        np.testing.assert_allclose(logits_now[0], logits[t], atol=1e-5)
        np.testing.assert_allclose(value_now[0], value[t], atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), now, memory)


@pytest.mark.parametrize("cut", [4, 8])
def test_a_rollout_goes_on_from_the_memory_of_the_last_one(network: Any, params: Any, cut: int) -> None:
    obs, first = episodes()
    _, logits, _ = read(network, params, obs, first)
    memory, _, _ = read(network, params, obs[:cut], first[:cut])
    _, rest, _ = read(network, params, obs[cut:], first[cut:], memory)
    np.testing.assert_allclose(rest, logits[cut:], atol=1e-5)
    _, without_memory, _ = read(network, params, obs[cut:], first[cut:])
    assert np.abs(without_memory[0, -1] - logits[cut, -1]).max() > 1e-3


def test_nothing_is_remembered_from_before_the_first_observation_of_an_episode(network: Any, params: Any) -> None:
    obs, first = episodes()
    memory, _, _ = read(network, params, obs, first)
    again, first_again = episodes(1)
    first_again[0] = True
    got = read(network, params, again, first_again, memory)
    expected = read(network, params, again, first_again)
    np.testing.assert_allclose(got[1], expected[1], atol=1e-6)
    np.testing.assert_allclose(got[2], expected[2], atol=1e-6)

    begins = int(np.flatnonzero(first[1:, 0])[0]) + 1  # in the middle of a rollout too
    changed = obs.copy()
    changed[:begins, 0] += 1.0
    _, logits, _ = read(network, params, obs, first)
    _, other, _ = read(network, params, changed, first)
    assert np.abs(other[begins - 1, 0] - logits[begins - 1, 0]).max() > 1e-3
    np.testing.assert_allclose(other[begins:, 0], logits[begins:, 0], atol=1e-6)
    np.testing.assert_allclose(other[:, 1:], logits[:, 1:], atol=1e-6)  # nor of another environment


def test_the_future_is_not_seen(network: Any, params: Any) -> None:
    obs, first = episodes()
    changed = obs.copy()
    changed[6:] += 1.0
    np.testing.assert_allclose(
        read(network, params, changed, first)[1][:6], read(network, params, obs, first)[1][:6], atol=1e-6
    )


# --- formulas ---------------------------------------------------------------------------------------------------------


def affine(params: Any, name: str) -> Any:
    layer = {key: np.asarray(value, np.float64) for key, value in params["params"][name].items()}
    return lambda x: x @ layer["kernel"] + layer["bias"]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def heads_of(params: Any, names: tuple[str, ...], x: Any) -> tuple[Any, Any]:
    """Logits and value from the features x."""
    hidden, logits, critic_hidden, critic = (affine(params, name) for name in names)
    return logits(np.tanh(hidden(x))), critic(np.tanh(critic_hidden(x)))[..., 0]


def gru_reference(params: Any, obs: Any, first: Any) -> tuple[Any, Any]:
    """A gated recurrent unit, environment by environment and step by step."""
    embed, inputs = affine(params, "Dense_0"), affine(params, "Dense_1")
    kernel = np.asarray(params["params"]["recurrent_kernel"], np.float64)
    bias = np.asarray(params["params"]["candidate_bias"], np.float64)
    size = len(bias)
    features = np.zeros((STEPS, ENVS, size))
    for env in range(ENVS):
        h = np.zeros(size)
        for t in range(STEPS):
            h = np.zeros(size) if first[t, env] else h
            x, u = inputs(np.tanh(embed(obs[t, env]))), h @ kernel
            r, z = sigmoid(x[:size] + u[:size]), sigmoid(x[size : 2 * size] + u[size : 2 * size])
            n = np.tanh(x[2 * size :] + r * (u[2 * size :] + bias))
            h = features[t, env] = (1 - z) * n + z * h
    return heads_of(params, ("Dense_2", "Dense_3", "Dense_4", "Dense_5"), features)


def transformer_reference(params: Any, obs: Any, first: Any) -> tuple[Any, Any]:
    """Gated transformer layers with a window, environment by environment, step by step and head by head."""
    size, heads, length, layers = (SMALL[key] for key in ("EMBEDDING_SIZE", "NUM_HEADS", "MEMORY_LENGTH", "NUM_LAYERS"))
    width = size // heads

    def normal(x: Any, name: str) -> Any:
        layer = params["params"][name]
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
        return x * np.asarray(layer["scale"], np.float64) + np.asarray(layer["bias"], np.float64)

    def gate(names: tuple[str, str, str], x: Any, y: Any) -> Any:
        from_y, from_x, candidate = (affine(params, name) for name in names)
        ry, zy, ny = np.split(from_y(y), 3)
        rx, zx = np.split(from_x(x), 2)
        z = sigmoid(zy + zx - 2)
        return (1 - z) * x + z * np.tanh(ny + candidate(sigmoid(ry + rx) * x))

    features = np.zeros((STEPS, ENVS, size))
    for env in range(ENVS):
        x = [np.tanh(affine(params, "Dense_0")(obs[t, env])) for t in range(STEPS)]
        start = [max([0, *np.flatnonzero(first[: t + 1, env])]) for t in range(STEPS)]  # of each step's episode
        for layer in range(layers):
            names = [f"Dense_{1 + 11 * layer + i}" for i in range(11)]
            read = [normal(each, f"LayerNorm_{2 * layer}") for each in x]
            query, both = affine(params, names[0]), affine(params, names[1])
            bias = np.asarray(params["params"][f"position_{layer}"], np.float64)
            for t in range(STEPS):
                parts = []
                for head in range(heads):
                    seen = range(max(start[t], t - length), t + 1)
                    split = [both(read[s]).reshape(heads, 2 * width)[head] for s in seen]
                    q = query(read[t]).reshape(heads, width)[head]
                    score = [q @ kv[:width] / np.sqrt(width) for kv in split]
                    score = [each + bias[head, t - s] for each, s in zip(score, seen, strict=True)]
                    weight = np.exp(score) / np.exp(score).sum()
                    parts.append(sum(w * kv[width:] for w, kv in zip(weight, split, strict=True)))
                y = np.tanh(affine(params, names[2])(np.concatenate(parts)))
                x[t] = gate((names[3], names[4], names[5]), x[t], y)
                hidden = np.tanh(affine(params, names[6])(normal(x[t], f"LayerNorm_{2 * layer + 1}")))
                x[t] = gate((names[8], names[9], names[10]), x[t], np.tanh(affine(params, names[7])(hidden)))
        features[:, env] = x
    after = 1 + 11 * layers
    return heads_of(params, tuple(f"Dense_{after + i}" for i in range(4)), features)


def test_the_network_is_what_numpy_says(backend: str, network: Any, params: Any) -> None:
    obs, first = episodes()
    reference = {"recurrent": gru_reference, "transformer": transformer_reference}[backend]
    logits, value = reference(params, obs, first)
    _, got_logits, got_value = read(network, params, obs, first)
    np.testing.assert_allclose(got_logits, logits, atol=1e-5)
    np.testing.assert_allclose(got_value, value, atol=1e-5)


def test_only_the_last_steps_are_remembered_by_the_transformer(backend: str, network: Any, params: Any) -> None:
    obs, first = episodes()
    first[:] = False
    changed = obs.copy()
    changed[0] += 1.0
    far = SMALL["NUM_LAYERS"] * SMALL["MEMORY_LENGTH"] + 1  # each layer looks MEMORY_LENGTH steps back
    difference = np.abs(read(network, params, changed, first)[1] - read(network, params, obs, first)[1]).max((1, 2))
    assert (difference[:far] > 1e-6).all()
    assert (difference[far:].max() < 1e-6) == (backend == "transformer")


# --- training ---------------------------------------------------------------------------------------------------------


def pendulum(code: Any, limit: int, finals: list[Any]) -> Any:
    """A make_env whose episodes are cut after ``limit`` steps, and which notes the final observation of each step."""
    make_env = code.make_env.make_env

    def make(config: Any) -> Any:
        env, params = make_env(config)
        spy = code.rl_jax.wrappers.Wrapper(env)

        def step(*inputs: Any) -> Any:
            outcome = env.step(*inputs)
            jax.debug.callback(
                lambda obs: finals.append(np.asarray(obs)), outcome[-1]["final_observation"], ordered=True
            )
            return outcome

        spy.reset, spy.step = env.reset, step
        return spy, params.replace(max_steps_in_episode=limit)

    return make


@pytest.mark.slow
def test_rollouts_say_what_the_loss_computes_again(code: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one minibatch and a learning rate of 0, acting and learning may not differ, for three updates."""
    config = code.run_config.get_config(
        SMALL
        | {"ENV_NAME": "Pendulum-v1", "CONTINUOUS": True, "UPDATE_EPOCHS": 1, "NUM_MINIBATCHES": 1, "NUM_LAYERS": 1}
    )
    finals: list[Any] = []
    batches: list[Any] = []
    original = code.loss.loss_actor_and_critic

    def loss(params: Any, init_memory: Any, traj_batch: Any, gae: Any, targets: Any, network: Any, config: Any) -> Any:
        _, pi, value = network.apply(params, init_memory, traj_batch.obs, traj_batch.first)
        seen = (traj_batch, pi.log_prob(traj_batch.action), value, gae)
        jax.debug.callback(lambda *each: batches.append(jax.tree.map(np.asarray, each)), *seen, ordered=True)
        return original(params, init_memory, traj_batch, gae, targets, network, config)

    monkeypatch.setattr(code.train, "make_env", pendulum(code, 3, finals))
    monkeypatch.setattr(code.train, "loss_actor_and_critic", loss)
    result = jax.jit(code.train.make_train(config))(jax.random.key(0), 0.0)
    jax.effects_barrier()
    assert len(batches) == config["NUM_UPDATES"] == 3
    for batch, log_prob, value, gae in batches:
        np.testing.assert_allclose(log_prob, batch.log_prob, atol=1e-5)
        np.testing.assert_allclose(value, batch.value, atol=1e-5)
        np.testing.assert_allclose((gae.mean(), gae.std()), (0, 1), atol=1e-5)
    # A minibatch holds the environments in another order, so rollouts are matched by their first observations.
    firsts = np.concatenate([batch.first for batch, *_ in batches])
    truncated = np.concatenate([batch.truncated for batch, *_ in batches])
    assert (truncated == (np.arange(24) % 3 == 2)[:, None]).all()
    np.testing.assert_array_equal(firsts[1:], truncated[:-1])

    network = actor_critic(code, config)
    batch = batches[0][0]
    final = np.stack(finals[: config["NUM_STEPS"]])  # [t, env], in the environments' own order
    order = [int(np.abs(final[0] - batch.obs[1, env]).sum(1).argmin()) for env in range(config["NUM_ENVS"])]
    memory, _, _ = network.apply(result["params"], network.initial_memory(4), batch.obs[:3], batch.first[:3])
    last = jnp.asarray(final[2][order])[None]
    _, _, expected = network.apply(result["params"], memory, last, jnp.zeros((1, 4), bool))
    np.testing.assert_allclose(batch.final_value[2], expected[0], atol=1e-5)  # with the memory of the episode it ended
