"""A corpus, annotated part by part: what a part is, what is made of its rows, and how parts become files."""
