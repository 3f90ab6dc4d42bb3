"""Requests, guided by coverage: `python -m tests.fuzz.guided FOLDER REDIS OPTIONS`.

The real application in this process, its modules instrumented, with the Redis that REDIS is the URL
of; FOLDER is its own, OPTIONS are of libFuzzer. A request that breaks a promise ends it.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["service", "export.contract"]):
    from tests.fuzz.application import Application
from tests.fuzz.asked import Asked


def main(folder: str, redis_url: str, *words: str) -> None:
    """Try requests until libFuzzer has had enough, and ends the process."""
    with Application(Path(folder), redis_url) as application:

        def one(text: bytes) -> None:
            asked = Asked.read(text)
            if asked is not None:
                application.ask(asked)

        atheris.Setup([sys.argv[0], *words], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
