"""What every process that the service starts has in common."""
