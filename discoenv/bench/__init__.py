"""The harness that compares agents: a matrix of agents, tasks and seeds, run unattended; statistics; a report."""
