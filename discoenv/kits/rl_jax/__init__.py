"""Reinforcement learning in JAX: simulators behind one interface, wrappers of them, distributions of actions.

Everything is pure and runs under jit, vmap and scan:

* ``environments.py``: gymnax, Brax and Craftax; the interface is described there;
* ``wrappers.py``: copies in lockstep, statistics of episodes, normalisation;
* ``distributions.py``: categorical and diagonal normal distributions of actions.
"""
