"""From a standing to the static site."""
