"""The inputs of Wave."""

LOW, HIGH = -1.0, 1.0
