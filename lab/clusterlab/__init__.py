"""A real cluster on one machine: nodes in containers. Python's standard library and ``docker`` only; see ``lab/README.rst``."""
