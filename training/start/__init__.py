"""A first configuration for tables that nobody has described yet."""

from training.start.start import start

__all__ = ["start"]
