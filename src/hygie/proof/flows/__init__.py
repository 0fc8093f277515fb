"""Who may call whom: the matrix as data, what the settings add to it, and what is seen held against it. Pure."""
