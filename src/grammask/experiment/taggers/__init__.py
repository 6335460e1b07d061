"""Training and measuring taggers of subwords."""
