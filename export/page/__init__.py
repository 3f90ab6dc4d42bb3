"""What reports are written on: a page in one file, and plots that stand in it."""
