"""What is searched: the main index, what was posted since, and what one search sees of both."""
