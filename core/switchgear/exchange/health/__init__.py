"""How each target fares, and what follows: asked, spared, tried again, made to wait. No I/O but one wait for a slot."""
