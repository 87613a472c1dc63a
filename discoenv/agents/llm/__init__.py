"""Agents with a language model, and what they are made of."""
