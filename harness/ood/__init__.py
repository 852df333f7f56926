"""Out-of-distribution sets: corrupted and naturally shifted test images."""
