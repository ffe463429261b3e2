"""Names of the files in a classifier's folder, which both ways to read it share."""

from nlptl.inference.settings_files import MAX_VIEWS

CLASSIFIER, HEAD = "classifier.json", "head.safetensors"
TOKENIZER = "tokenizer.json"
WORD_VECTORS = "word_vectors.safetensors"
POOLING, PROJECTION = "pooling.safetensors", "projection.safetensors"
VIEW_TABLES = [f"view_{number}.safetensors" for number in range(MAX_VIEWS)]
VIEW_TERMS = [f"view_{number}.json" for number in range(MAX_VIEWS)]
