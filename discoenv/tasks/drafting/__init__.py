"""A training script read into the draft of a domain: what is a module, what is fixed, what the examiner does."""
