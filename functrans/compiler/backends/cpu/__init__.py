"""Kernels as native code for the CPU, by LLVM."""
