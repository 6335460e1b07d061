"""What a guided model reads, by which rule, and how the answer changes without it."""
