"""What a task is: domains, configurations, sampling, stubs and workspaces."""
