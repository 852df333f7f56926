"""From a stranger's bytes to a checked submission, or to everything that is wrong."""
