"""Caches that others compress: which keys of a context they keep."""
