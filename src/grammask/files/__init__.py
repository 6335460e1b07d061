"""Reading what others wrote, and writing files that are there as a whole or not at all."""
