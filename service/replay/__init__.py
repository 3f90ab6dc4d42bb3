"""How an answer was made, and how it is made again."""
