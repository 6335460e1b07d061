"""Other ways of attention, at the density of the grammar."""
