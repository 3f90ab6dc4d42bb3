"""Example data sets, a folder each: how to get or make the data, how to train on it."""
