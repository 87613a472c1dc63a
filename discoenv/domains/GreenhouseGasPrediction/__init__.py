"""Greenhouse-gas forecasting: its examiner, the atmospheres that it simulates and the Mauna Loa record."""
