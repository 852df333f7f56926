"""`harness fit`: laws fitted to the loss curves of files and scored on others."""
