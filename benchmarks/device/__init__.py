"""The parts of `bench_device.py`: what is measured, table by table, and the report."""
