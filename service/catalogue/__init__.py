"""Records of items: a bundle's own, and what was written over them since."""
