"""The ways to fine-tune, one file each."""
