"""Commands that make the checkpoints and the page of results."""
