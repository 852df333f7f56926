"""A corpus as others get it: a version, a card, a licence, figures, metadata."""
