"""Controls: what is done about an obligation or a requirement, and the checks that can turn it red.

Checks on what runs are in ``hygie.proof.checks``; checks on registers are data, beside this file, judged by ``rules``.
"""
