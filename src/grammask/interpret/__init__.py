"""What a guided model reads, by which rule, and what happens without it."""
