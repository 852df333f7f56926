"""The noise showdown: which early signal goes with the end of a run, at what price."""
