"""Growing: a run goes on from another one, on new data or with other features."""
