"""Worlds whose levels are arrays: mazes, lava, keys, boxes, jumps, in JAX, for the design of environments.

Everything is pure and runs under jit, vmap and scan:

* ``environments.py``: :func:`make`, and the interface that all worlds have;
* ``grids.py``: mazes, and grids with lava, keys or boxes; ``jumping.py``: a runner over pits and under ceilings;
* ``paths.py``: lengths of shortest paths in mazes;
* ``physics.py``: the 2-D physics tasks of Kinetix, if that package is installed.
"""
