"""Task folders of Harbor, which many other frameworks read, too: ``discoenv export harbor``.

A folder has three parts, each of which becomes a container of its own:

* ``environment/``: what the agent sees: the workspace, the packages of learners, and a small client, ``discoenv``.
  Nothing of discoenv itself and nothing of the meta-test side is there.
* ``environment/exams/``: the service that the client asks for exams on the meta-train side.
* ``tests/``: the verifier, which gets the agent's modules and nothing else, and scores them on the meta-test side.
"""
