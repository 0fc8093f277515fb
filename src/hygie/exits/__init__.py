"""The exit of a client: everything given back, verified, consented to, destroyed, certified (EXI 27)."""
