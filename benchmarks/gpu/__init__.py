"""What gpu_check.py and gpu_bench.py share, and the cases of the former."""
