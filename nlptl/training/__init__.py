"""The training loop, batches, precision, checkpoints, processes."""
