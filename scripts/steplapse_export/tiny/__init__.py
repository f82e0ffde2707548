"""Pipelines of random weights, for tests."""
