"""Reference agents, each a runnable script."""
