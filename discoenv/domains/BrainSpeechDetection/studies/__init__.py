"""What detectors of speech reach between guessing and an oracle."""
