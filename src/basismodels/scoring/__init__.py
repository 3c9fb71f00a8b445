"""Comparing fits."""
