"""Loaders, workers, and how one hands over to the next."""
