"""Watch over a classifier after release: new texts without labels, beside those of its run."""
