"""The CUDA backend: programs as kernels in CUDA C++."""
