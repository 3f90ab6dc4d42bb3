"""What every room agrees on: features, statistics, schema, encoder graph and bundle."""
