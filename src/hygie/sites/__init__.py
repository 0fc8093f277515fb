"""Sites: object stores with a place on earth. They hold ciphertext only and decide nothing."""
