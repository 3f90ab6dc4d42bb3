"""Ways to a Redis: its URL, its rights, its policy, and one of our own."""
