"""What the examiners of several domains are made of."""
