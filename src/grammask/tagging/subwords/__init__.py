"""A tagger of grammask's own: a small convolution over subwords, without spaCy."""
