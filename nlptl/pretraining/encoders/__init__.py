"""Training of transformer encoders: masked LM, SimCSE, TSDAE, new words, from scratch."""
