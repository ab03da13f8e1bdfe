"""Training: configuration, batches of pairs, the step, the loop, checkpoints. Import from the modules."""
