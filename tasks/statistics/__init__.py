"""Statistics of scores: intervals, ceilings, tests; import the module you need."""
