"""Copies of production for tests: de-identified by an allow-list, declared, journaled, without a way back."""
