"""Training an encoder on a pile of texts without labels: masked LM, SimCSE, TSDAE, new words, and from scratch."""
