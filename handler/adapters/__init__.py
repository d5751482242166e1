"""One module per outside thing. Each implements a port of :mod:`handler.ports` and knows only values of the core."""
