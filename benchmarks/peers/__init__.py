"""What does a recall cost by what else a user would pick? See `benchmarks/peers/__main__.py`."""
