"""A finished run becomes a bundle; owns the contract between the rooms."""
