"""Models of everything that crosses the wire or rests. API clients may install this package alone."""
