"""Learning from unlabelled text."""
