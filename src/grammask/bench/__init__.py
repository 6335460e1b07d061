"""Speed and memory against peers: attention by itself, whole models, and from text to logits."""
