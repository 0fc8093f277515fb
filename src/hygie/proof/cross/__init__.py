"""Cross-checks: what the registers say against what the platform shows, and registers against one another.

A check is a function from a look (registers, facts, settings at one instant) to what is wrong; its card, in
``cards.toml``, says what it proves, who answers for it, what to do, and which test has seen it red. One file a theme.
"""
