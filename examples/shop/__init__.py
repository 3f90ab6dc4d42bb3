"""A made shop as three CSV files, for the tutorial."""
