"""Learning from few labels: names of labels, contrastive training, pseudo-labels."""
