"""ModelUnlearning: make a language model forget a part of what it knows, and nothing else."""
