"""Negatives. To add one: write its file, then add its line here."""

from training.negatives.in_batch import InBatch

NegativeConfig = InBatch

__all__ = ["InBatch", "NegativeConfig"]
