"""The images or reviews that every framework of a campaign trains on, made or read once into one file."""


class DataError(Exception):
    """The samples cannot be obtained or kept; one line that names the file and the remedy."""
