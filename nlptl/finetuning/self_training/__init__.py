"""Self-training over several views of an unlabelled pile: a teacher's soft labels, and one linear head that learns them."""
