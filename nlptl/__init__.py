"""Transfer learning for text: pretrain, represent, fine-tune."""

__version__ = "0.1.0"
