"""The answer in sentences, written from the tables."""
