"""Data sets, small architectures and the training loop."""
