"""JAX arrays: compiled kernels on the processor, XLA's own operations elsewhere."""
