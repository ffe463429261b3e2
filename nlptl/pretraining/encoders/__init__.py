"""Training of an encoder on unlabelled texts."""
