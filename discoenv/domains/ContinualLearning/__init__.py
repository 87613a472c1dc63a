"""Continual learning: one network, many experiences, one after another."""
