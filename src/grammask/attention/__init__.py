"""Attention under a plan: the plain reference, and the way that each call takes."""
