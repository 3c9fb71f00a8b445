"""What people ask of a fit: how fast, to what level, and how likely it is to fail."""
