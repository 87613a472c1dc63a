"""What searches for levels reach beside simpler ones."""
