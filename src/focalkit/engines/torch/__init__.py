"""PyTorch tensors: autograd over the compiled kernels, Triton, or composite operations."""
