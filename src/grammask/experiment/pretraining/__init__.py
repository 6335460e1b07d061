"""Masked language modelling on raw text, from nothing or from a model, under full attention or a grammar."""
