"""DiscoBench: all its tasks that can be run here, by default for the agents that need no language model."""
