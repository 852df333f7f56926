"""Workers as actors of a Ray cluster, on one machine or on many."""
