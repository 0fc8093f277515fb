"""Floor 1, pure: invented French patients for the demonstration, drills and benchmarks. Test INS only."""
