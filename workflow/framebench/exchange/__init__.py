"""Exchange of results between machines: packed into one archive, and merged from many."""
