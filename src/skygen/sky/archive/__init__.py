"""The survey's own server: which fields there are, and their files downloaded once."""
