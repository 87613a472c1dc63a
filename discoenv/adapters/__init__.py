"""Episodes behind other people's protocols."""
