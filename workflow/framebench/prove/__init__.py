"""Proves that a user's two model files train the same function, or says where they part."""
