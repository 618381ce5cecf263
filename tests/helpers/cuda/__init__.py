"""Kernels in CUDA C++ run on the host."""
