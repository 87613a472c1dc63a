"""Unsupervised environment design: its examiner, and the levels that policies are examined in."""
