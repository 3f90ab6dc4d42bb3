"""Which version is served, how it gets in, and who decides it."""
