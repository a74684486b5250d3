"""Proves that a user's two model files train the same function, or names the layer where they part."""
