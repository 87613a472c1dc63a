"""Teams of agents in JAX: worlds behind one interface, and what is put around them for training.

Everything is pure and runs under jit, vmap and scan:

* ``environments.py``: ``make`` by name; ``teams.py``: the interface, copies in lockstep, statistics of episodes;
* ``particles.py``: discs on a plane that cover landmarks, chase a prey, or speak (after the multi-agent particle
  environments of Lowe et al. 2017);
* ``skirmish.py``: small battles of units of several kinds (after SMAC, Samvelyan et al. 2019, and SMAX, Rutherford et
  al. 2024);
* ``kitchen.py``: two cooks in a narrow kitchen (after Overcooked, Carroll et al. 2019);
* ``hanabi.py``: the card game (Bard et al. 2020) with few cards;
* ``robots.py``: a robot of Brax whose joints belong to several agents (after MABrax, Rutherford et al. 2024).
"""
