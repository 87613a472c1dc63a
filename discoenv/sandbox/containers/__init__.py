"""Sandboxes in containers: Docker, Podman and Apptainer."""
