"""What the base modules reach, measured by one command: see comparison.py."""
