import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])
