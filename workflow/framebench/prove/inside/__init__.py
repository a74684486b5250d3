"""The part of a proof that runs a user's code: under a framework's own interpreter, with only its packages."""
