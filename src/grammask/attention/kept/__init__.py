"""Attention over the keys that a key-value cache keeps: which they are, and who reads them."""
