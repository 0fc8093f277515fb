"""Notice, tell, keep the clocks: facts → rules (Sigma) → findings → incidents → who is told."""
