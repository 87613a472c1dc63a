"""A task being played, and its record."""
