"""Whether critics see the state of the world while they are trained. Here they do not, as actors never do."""

CENTRALISED = False
