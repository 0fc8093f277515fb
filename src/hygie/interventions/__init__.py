"""Administration of machines: what sudo and sshd leave behind, read with suspicion, matched, sealed and shown."""
