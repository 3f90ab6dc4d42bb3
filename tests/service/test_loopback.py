import pytest

from service.loopback import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("", False), ("localhost.example", False), ("128.0.0.1", False)),
    ],
)
def test_loopback_is_told_without_asking_a_resolver(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected
