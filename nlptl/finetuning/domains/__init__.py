"""Domain adaptation: how far two domains are apart, and what brings a classifier from one to the other."""
