"""Replicas behind the real gateway are restarted, killed, rolled out and back, under mixed load."""
