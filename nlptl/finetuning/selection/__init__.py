"""The choice among methods, and of how texts are read."""
