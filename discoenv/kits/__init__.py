"""Kits: code that is copied into workspaces, and a library outside of them.

A folder here is a kit: an ordinary package that several domains share. A domain that lists it (``kits: [rl_jax]`` in
``domain.yaml``) has a copy of it in each dataset's folder; its templates write ``from rl_jax.wrappers import
Vectorise``, and its examiner imports the same files as ``discoenv.kits.rl_jax``. Every domain has the kit ``exam``, by
which learners talk to their examiner, unless it reports its own scores.

* The files of a kit import each other with relative imports, and nothing of discoenv, which a workspace neither has nor
  mentions. They may import third-party packages; the domain lists those as requirements.
* All its Python files are copied, and nothing else.
* A file with marks (see :mod:`discoenv.tasks.stubs`) is the base of a module: ``optim: {base: rl_jax/adam.py}`` under
  ``modules``. It is copied, without its marks, where a domain has it as the base of a module that is not editable in
  the task, and is left out everywhere else, so that no workspace holds a solution. Other files of the kit must do
  without it.
"""
