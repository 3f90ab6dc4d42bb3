"""A server of names that knows one name: that of the replicas, each with a port of its own."""

import socketserver
import threading
from collections.abc import Sequence

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

REPLICAS = "_http._tcp.replicas"
TTL_S = 1


class Names:
    """Answers on a UDP port of the loopback for whom `ports` has, as it is at the moment."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = list(ports)
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
        """Return the answer to a question for SRV records, with the addresses beside them."""
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
        return told.to_wire()
