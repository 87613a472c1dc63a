"""The best actions in training, too, without exploration. Sutton and Barto 2018, 2.2."""


def explore(rng, q_vals, t, config):
    """The best actions, int32[B]."""
    return q_vals.argmax(axis=-1)


def exploit(rng, q_vals, t, config):
    """The best actions, int32[B]."""
    return q_vals.argmax(axis=-1)
