"""Search over the modules of one task, by random changes or by a language model."""
