"""Availability: each minute asked from outside in, the month's rate held to the contract, what it owes."""
