"""Putting a grammar into a transformers model, and taking it out again."""
