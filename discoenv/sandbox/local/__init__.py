"""Sandboxes of processes on this machine: bubblewrap, and no isolation."""
