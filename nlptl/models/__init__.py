"""The nn.Modules: token models, pooling, heads, Encoder, TextClassifier, and their folders on disk."""
