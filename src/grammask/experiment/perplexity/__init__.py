"""Perplexity of causal language models under grammars: loss by part of speech and distance, and controls."""
