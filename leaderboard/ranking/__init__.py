"""From checked submissions to scores, ranks, pairs, slices and controls."""
