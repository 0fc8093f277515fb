"""Floor 6: the command line, one file per command. Says things; decides no right."""
