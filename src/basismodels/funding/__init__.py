"""Funding rules and what follows from them."""
