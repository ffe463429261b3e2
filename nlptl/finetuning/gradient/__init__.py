"""Fine-tuning by gradient descent: tuners, fits, cross-validation."""
