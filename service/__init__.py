"""Answers requests: the user vector on the fly, nearest items at once; never imports torch."""
