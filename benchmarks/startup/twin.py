"""A process that does nothing but answer: what it stalls, the machine stalls.

`python -m benchmarks.startup.twin` prints its port, and answers one client with 200 until that
leaves.
"""

import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def main() -> None:
    """Answer whatever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        line, _ = listener.accept()
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with line:
            while line.recv(4096):
                line.sendall(ANSWER)


if __name__ == "__main__":
    main()
