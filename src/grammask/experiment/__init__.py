"""Fine-tuning and evaluating one model for each run, recording what came out, and resuming what was cut off."""
