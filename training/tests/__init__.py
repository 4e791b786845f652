"""Tests of the training; run by `make test-training`, which installs PyTorch."""
