"""A server of names that knows the replicas: by one with a port of each, and by one with none."""

import socketserver
import threading
from collections.abc import Sequence

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

REPLICAS = "_http._tcp.replicas"
HOSTS = "replicas"
TTL_S = 1


class Names:
    """Answers on a UDP port of the loopback what is the case at the moment.

    `ports` are those of the service `REPLICAS`, `addresses` those of the name `HOSTS`.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = list(ports)
        self.addresses = ["127.0.0.1", "127.0.0.2"]
        names = self

        class Asked(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                sock.sendto(names.answer(data), self.client_address)

        self._server = socketserver.UDPServer(("127.0.0.1", 0), Asked)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    def answer(self, data: bytes) -> bytes:
        """Return the answer to a question: SRV records with addresses beside them, or A records."""
        asked = dns.message.from_wire(data)
        told = dns.message.make_response(asked)
        told.flags |= dns.flags.AA | dns.flags.RA
        question = asked.question[0]
        if question.rdtype == dns.rdatatype.SRV and question.name.to_text() == f"{REPLICAS}.":
            found = [f"1 1 {port} replica-{port}." for port in self.ports]
            told.answer.append(dns.rrset.from_text(question.name, TTL_S, "IN", "SRV", *found))
            told.additional += [
                dns.rrset.from_text(f"replica-{port}.", TTL_S, "IN", "A", "127.0.0.1")
                for port in self.ports
            ]
        if question.rdtype == dns.rdatatype.A and question.name.to_text() == f"{HOSTS}.":
            told.answer.append(
                dns.rrset.from_text(question.name, TTL_S, "IN", "A", *self.addresses)
            )
        return told.to_wire()
