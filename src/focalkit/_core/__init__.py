"""What every floor above may use: the mathematics, the spec, contracts and reductions. Imports NumPy or nothing."""
