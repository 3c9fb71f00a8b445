"""Estimators: maximum likelihood, intervals, labels."""
