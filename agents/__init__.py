"""Scripts that run the reference agents of :mod:`discoenv.agents`; ``--help`` lists the options of each."""
