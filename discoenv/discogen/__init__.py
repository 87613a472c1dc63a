"""Everything that has DiscoGen's names and formats."""
