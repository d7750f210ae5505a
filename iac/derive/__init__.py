"""What each role of the `chalicefile` needs of a host: the one place where it is worked out, for every host."""
