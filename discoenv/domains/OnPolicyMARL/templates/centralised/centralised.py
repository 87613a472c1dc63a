"""Whether critics see the state of the world while they are trained. Here they do; actors never do."""

CENTRALISED = True
