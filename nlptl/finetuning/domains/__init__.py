"""Domain adaptation: methods that bring a classifier from a labelled domain to an unlabelled one, and their choice."""
