"""The answer in sentences, made of the tables."""
