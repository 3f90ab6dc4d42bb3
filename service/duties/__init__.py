"""What a worker does beside its requests."""
