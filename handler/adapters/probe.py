"""Ask a container whether it accepts connections. Implements ``Probe``."""

from __future__ import annotations

import socket


class TcpProbe:
    """A TCP connection; only to addresses of containers that run, since a failed look-up blocks a bridge for a second."""

    def answers(self, address: str, port: int, seconds: float) -> bool:
        if not address:
            return False
        try:
            with socket.create_connection((address, port), timeout=seconds):
                return True
        except OSError:
            return False
