"""Benchmarks of the environment itself, each a runnable script."""
