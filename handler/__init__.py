"""The handler of a small private cluster: what ``consul watch`` starts on every node."""

__version__ = "2.0.0.dev0"
