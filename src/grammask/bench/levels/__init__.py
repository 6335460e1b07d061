"""What is timed: one layer's attention, a whole model, or the way from text to output."""
