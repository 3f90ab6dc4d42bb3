import asyncio

from service.processes.one_write import OneWrite


class Recorded(asyncio.Transport):
    """Notes what reaches the system."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.calls.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.calls


def test_head_and_body_go_out_together_once_the_answer_is_whole() -> None:
    async def scene() -> None:
        below = Recorded()
        transport = OneWrite(below, asyncio.get_running_loop())
        transport.write(b"head")
        transport.write(b"body")
        assert below.calls == []
        transport.flush()
        assert below.calls == [b"headbody"]
        await asyncio.sleep(0)
        assert below.calls == [b"headbody"]

    asyncio.run(scene())


def test_what_is_not_whole_goes_out_when_the_turn_is_over() -> None:
    async def scene() -> None:
        below = Recorded()
        transport = OneWrite(below, asyncio.get_running_loop())
        transport.write(b"continue")
        await asyncio.sleep(0)
        assert below.calls == [b"continue"]

    asyncio.run(scene())


def test_what_is_held_is_sent_before_the_connection_is_closed() -> None:
    async def scene() -> None:
        below = Recorded()
        transport = OneWrite(below, asyncio.get_running_loop())
        transport.write(b"last")
        transport.close()
        assert below.calls == [b"last", "closed"]
        assert transport.is_closing()

    asyncio.run(scene())
