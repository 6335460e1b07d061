"""Inducing a grammar from parsed text or from a model's own attention, under a budget of word pairs."""
