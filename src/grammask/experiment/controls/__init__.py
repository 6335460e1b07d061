"""Controls: what a grammar is compared with, to tell what its rules do from what its density does."""
