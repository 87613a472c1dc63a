"""Language modelling: pre-train a small causal language model on text that is invented anew in each exam."""
