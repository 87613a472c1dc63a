"""The inputs of Steps."""

LOW, HIGH = -1.0, 1.0
