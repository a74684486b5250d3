"""Result sets on their way between machines: packed into one archive, and merged from many."""
