"""Incidents of the host: which clocks run and for whom, what is significant (NIS 2), notices, who is on duty. Pure.

Everything is given: records, settings' answers, counts, the instant. Delays and their sources are in the registers'
schemas (``incident``, ``violation``), thresholds in ``significance.toml``.
"""
