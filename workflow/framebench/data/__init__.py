"""The images that every framework of a campaign trains on, made or read once into one file."""


class DataError(Exception):
    """Images that cannot be had or kept, in one line that names the file and says what to do."""
