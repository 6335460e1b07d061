"""Minimal pairs: which of two sentences a language model holds for likelier, under full attention and grammars."""
