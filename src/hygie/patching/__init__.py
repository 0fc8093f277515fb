"""Patches: what runs (a CycloneDX inventory), what is known against it (feeds of the operator), what is open."""
