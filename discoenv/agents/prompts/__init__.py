"""Search over the prompt of an agent, by how it plays many tasks."""
