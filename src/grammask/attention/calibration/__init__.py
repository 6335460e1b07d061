"""What calls cost on this machine: counting their work, and measuring, keeping and reading what the work costs."""
