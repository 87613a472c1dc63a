"""Tests on a real GPU; without one they are skipped, and say so. ``make gpu`` runs them."""
