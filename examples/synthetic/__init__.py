"""A generated world whose right answer is known, cold items and cold users included."""
