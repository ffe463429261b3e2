"""Views of a text that are learnt from a pile: its words, its n-grams."""
