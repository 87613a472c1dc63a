"""The report of a benchmark: tables, figures, and the page that holds them."""
