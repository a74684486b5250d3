"""The images or reviews that every framework of a campaign trains on, made or read once into one file."""


class DataError(Exception):
    """Samples that cannot be had or kept, in one line that names the file and says what to do."""
