"""Uses trained policies: what the examiner asks for."""

import exam
import jax
from network import make_network
from run_config import get_config


def make_policy(config):
    """``logits(params, obs)``: float32[..., K] for parameters of one checkpoint and obs float32[..., D]."""
    network, _ = make_network(get_config(config))
    return lambda params, obs: network.apply(params, obs)[0]


def shapes(config):
    """Shapes of the parameters of one checkpoint: a tree of tuples."""
    network, obs = make_network(get_config(config))
    return jax.tree.map(lambda x: x.shape, jax.eval_shape(network.init, jax.random.key(0), obs))


def make(config, state):
    """The object that the examiner may ask: ``logits(checkpoint, obs)``."""
    logits = jax.jit(make_policy(config))

    class Policy:
        """The policies of all checkpoints."""

        def logits(self, checkpoint, obs):
            """float32[N, K] for obs float32[N, D]."""
            return jax.device_get(logits(jax.tree.map(lambda x: x[int(checkpoint)], state["params"]), obs))

    return Policy()


if __name__ == "__main__":
    exam.answer(make)
