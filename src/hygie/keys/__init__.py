"""Floor 1: the keys. The KMS (its own process), its client, the cache of compartment keys, erasure and the ledger."""
