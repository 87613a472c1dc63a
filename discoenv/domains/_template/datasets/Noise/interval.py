"""The inputs of Noise."""

LOW, HIGH = -1.0, 1.0
