"""From a batch's tags and a grammar to blocks: rectangles of queries and keys, the work of the sparse kernels."""
