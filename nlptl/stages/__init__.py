"""The stages of a chain, one file each; importing this package imports none of them."""
