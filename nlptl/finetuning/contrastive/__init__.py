"""Learning from few labels: names of labels, contrastive training, the choice among updates, the pile."""
