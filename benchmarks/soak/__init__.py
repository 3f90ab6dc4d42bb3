"""The long fault runs: a real service, killed and churned for minutes, then held to its word."""
