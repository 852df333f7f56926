"""Early signals that are computed from recorded curves, a family a module."""
