"""Where the losses are computed, each engine in a package of its own."""
