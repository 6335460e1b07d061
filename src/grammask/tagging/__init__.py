"""Parts of speech for texts: the protocol, spaCy behind it, and a cache on disk."""
