"""Where the losses are computed; each engine is a file with ``loss`` and ``loss_grad_hess``."""
