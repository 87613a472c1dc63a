"""From exam results to normalised scores: floors, baselines and their calibration."""
