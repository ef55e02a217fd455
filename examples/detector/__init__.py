"""A small one-stage dense detector, in which the focal paper's ablation is re-run (docs/ablation.md)."""
