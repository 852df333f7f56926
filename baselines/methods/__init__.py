"""What several baselines are made of; import the module you need."""
