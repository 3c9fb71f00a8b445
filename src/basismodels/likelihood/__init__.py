"""Compiled likelihoods: arrays in, arrays out; they know nothing of the package.

Each of `kalman`, `kim` and `hamilton` offers the same functions on the same
step coefficients (see `transition`): `loglik`, `loglik_grad`, `pointwise` and
`filter`, `smooth`.
"""
