"""HTTP: what is on the wire, from the request line to the bytes of an answer."""
