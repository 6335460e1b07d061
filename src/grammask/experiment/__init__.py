"""Fine-tuning and evaluating one model per strategy, recording what came out, and resuming what was cut off."""
