"""How does what a service takes grow with its catalogue, and what would a larger one take?"""
