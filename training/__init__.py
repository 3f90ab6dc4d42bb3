"""Interactions become two towers."""
