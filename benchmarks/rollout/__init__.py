"""Replaces the version that is served again and again, under load, and checks every answer."""
