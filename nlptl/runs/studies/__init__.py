"""Many trials side by side."""
