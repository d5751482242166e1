"""Pure decisions: no I/O, no clock, no randomness, no logging. Knows nobody outside this package."""
