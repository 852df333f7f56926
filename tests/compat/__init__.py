"""Published corpora as other people's readers see them."""
