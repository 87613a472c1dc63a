"""The domain Template: description.md and domain.yaml say what it is about."""
