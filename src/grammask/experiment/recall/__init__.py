"""How well a causal model copies facts that stand far back."""
