"""Inducing a grammar from parsed text or from a model's attention, for a budget of word pairs."""
