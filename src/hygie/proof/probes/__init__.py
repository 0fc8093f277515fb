"""Probes: each brings back one fact of ``hygie.proof.facts``, by looking or by really trying. They judge nothing."""
