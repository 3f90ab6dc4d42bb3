"""Certificates for TLS on the loopback, made by openssl when a test asks for them."""

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode


class Certificates:
    """An authority of its own, and what it certifies: 127.0.0.1, for servers and clients."""

    def __init__(self, folder: Path) -> None:
        self.ca, self.certificate, self.key = (folder / name for name in ("ca", "crt", "key"))
        ca_key, request, names = (str(folder / name) for name in ("ca-key", "request", "names"))
        Path(names).write_text("subjectAltName=IP:127.0.0.1")
        new = ["-newkey", "rsa:2048", "-nodes", "-subj"]
        _openssl("req", "-x509", *new, "/CN=authority", "-keyout", ca_key, "-out", str(self.ca))
        _openssl("req", *new, "/CN=ours", "-keyout", str(self.key), "-out", request)
        signed = ["-CA", str(self.ca), "-CAkey", ca_key, "-CAcreateserial", "-extfile", names]
        _openssl("x509", "-req", "-in", request, "-out", str(self.certificate), *signed)

    @property
    def words(self) -> list[str]:
        """The options of a server."""
        words = ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key)]
        words += ["--tls-ca-cert-file", str(self.ca), "--tls-auth-clients", "yes"]
        return [*words, "--tls-replication", "yes", "--tls-cluster", "yes"]

    @property
    def options(self) -> dict[str, Any]:
        """The options of a client."""
        files = {"ssl_ca_certs": self.ca, "ssl_certfile": self.certificate, "ssl_keyfile": self.key}
        return {"ssl": True, **{name: str(path) for name, path in files.items()}}

    @property
    def query(self) -> str:
        """The same in a URL."""
        return urlencode({name: one for name, one in self.options.items() if name != "ssl"})


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
