"""NumPy arrays to the compiled kernels."""
