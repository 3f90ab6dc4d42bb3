"""uvicorn's protocol, with what there is no room for refused where its head ends."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.http.admission import PROBES, Admission, header
from service.processes.draining import CLOSE
from service.processes.one_write import OneWriteProtocol


class RefusingProtocol(OneWriteProtocol):
    """Refuses at once, without a task, what the application would refuse.

    That takes two thirds of the CPU, of which under ten times the capacity a refusal has a tenth.
    Only what is plain is refused here; all else, from `Expect` to requests sent before an answer
    to the last, is left to uvicorn and the application, which refuses it in the same words.

    admission: the application's own.
    """

    def __init__(self, *args: Any, admission: Admission, **options: Any) -> None:
        super().__init__(*args, **options)
        self._admission = admission
        self._drops_body = False  # of what was refused
        self._was_refused = False  # what has come now, to its end

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self._was_refused = False
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Refuse a request, or begin to answer it."""
        if not (self._admission.is_full and self._is_plain):
            super().on_headers_complete()
            return
        self._drops_body = True
        self._head_bytes = None
        fields, body = self._admission.refuse(self.headers)
        head = [b"%b: %b\r\n" % one for one in (*self.server_state.default_headers, *fields)]
        self.transport.write(b"".join([STATUS_LINE[self._admission.status], *head, b"\r\n", body]))

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, or drop it."""
        if not self._drops_body:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; after a refusal the connection is as after any answer."""
        if not self._drops_body:
            super().on_message_complete()
            return
        self._drops_body, self._was_refused = False, True
        self.on_response_complete()

    @property
    def _awaits_head(self) -> bool:
        return super()._awaits_head and not self._was_refused

    @property
    def _is_plain(self) -> bool:
        """Whether a request is no probe, and its connection free and to be kept."""
        path = self.url.partition(b"?")[0]
        return (
            path.startswith(b"/")
            and b"%" not in path
            and path.decode("latin-1") not in PROBES
            and super()._awaits_head
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and CLOSE not in self.server_state.default_headers
            and self.parser.get_http_version() == "1.1"
            and self.parser.get_method() != b"HEAD"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and header(self.headers, b"expect") is None
        )
