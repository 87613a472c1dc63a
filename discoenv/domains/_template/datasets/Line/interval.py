"""The inputs of Line."""

LOW, HIGH = -1.0, 1.0
