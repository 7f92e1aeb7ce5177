"""Who runs: one module a contender, each with a `make(options)` that returns a `Contender`."""
