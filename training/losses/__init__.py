"""Losses. To add one: write its file, then add its line here."""

from training.losses.in_batch_softmax import InBatchSoftmax

LossConfig = InBatchSoftmax

__all__ = ["InBatchSoftmax", "LossConfig"]
