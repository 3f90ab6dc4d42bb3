"""The long form: `python -m tests.fuzz`, which is `make fuzz`.

Schemathesis over the whole description and the list of what was reached; then requests guided by
coverage, sent again to a real service; records of others in Redis; bundles, snapshots and files of
keys. What breaks a promise is printed with its seed, and lies in the folder of the run.
"""

import argparse
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from service.snapshot import Snapshots
from tests.fuzz import files, statuses
from tests.fuzz.application import Application
from tests.fuzz.asked import Asked, dictionary, seeds
from tests.fuzz.described import guarded, try_description
from tests.fuzz.keys import try_keys
from tests.fuzz.records import try_records
from tests.fuzz.wire import send
from tests.service.conftest import start_redis
from tests.service.snapshot.made import changed_generation, write_snapshot
from tests.tiny import tiny_bundle
from tests.tiny_ranker import tiny_ranker

ROUND_S = 60
"""After so long requests are guided by a new process with an empty Redis and another seed."""

FOUND = Path(__file__).parent / "found"
"""Requests that broke a promise once."""


class Run:
    """One run of all parts: its folder, its seed, how long a part may take, what broke."""

    def __init__(self, folder: Path, seed: int, seconds: float, examples: int) -> None:
        self.folder, self.seed, self.seconds, self.examples = folder, seed, seconds, examples
        self.broken: list[str] = []

    def part(self, name: str) -> Path:
        """Begin a part in a folder of its own."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"== {name}", flush=True)  # noqa: T201 - a command
        return folder

    def tell(self, text: str, *, is_broken: bool = False) -> None:
        """Print a line, and note it where a promise was broken."""
        print(text, flush=True)  # noqa: T201 - a command
        if is_broken:
            self.broken.append(text)


def described(run: Run) -> None:
    """Have schemathesis try all, and print who reached what."""
    folder = run.part("described")
    with guarded(folder) as (served, key):
        options = ("--seed", str(run.seed), "--max-examples", str(run.examples))
        tried = try_description(served, key, folder, *options)
        (folder / "schemathesis.txt").write_text(tried.said)
        run.tell(tried.said[-6000:], is_broken=not tried.is_good)
        recall = served.ask("GET", "/readyz")
        run.tell(f"ready after it: {recall[0]}", is_broken=recall[0] != 200)
    by = {"schemathesis": tried.answered, "contract": statuses.reached_by_contract(folder)}
    lines, missing = statuses.listed(by)
    run.tell("\n".join(lines))
    run.tell(f"{len(lines) - len(missing)} of {len(lines)} reached", is_broken=bool(missing))


def requests(run: Run) -> None:
    """Guide requests by coverage, round by round, then send what covers most to a real service."""
    folder = run.part("requests")
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, text in enumerate([*seeds(), *(one.read_bytes() for one in FOUND.glob("*"))]):
        (corpus / f"seed-{number}").write_bytes(text)
    (folder / "words").write_text(dictionary())
    done, until_s = 0, time.monotonic() + run.seconds / 2
    if not is_guided():
        run.tell("not guided by coverage: atheris is not installed (Linux for x86-64 has it)")
    for number in range(10_000 * is_guided()):
        left_s = until_s - time.monotonic()
        if left_s < 5:
            break
        done += _guided(run, folder, run.seed + number, int(min(left_s, ROUND_S)))
    run.tell(f"{done} requests in this process, {len(list(corpus.iterdir()))} that cover most")
    _sent(run, folder, corpus)


def is_guided() -> bool:
    """Say whether there is what guides requests."""
    return find_spec("atheris") is not None


def _guided(run: Run, folder: Path, seed: int, seconds: int) -> int:
    """Run libFuzzer for a while; return how many requests it made."""
    home = folder / f"round-{seed}"
    home.mkdir()
    redis, url = start_redis(home)
    options = [
        f"-seed={seed}",
        f"-max_total_time={seconds}",
        "-print_final_stats=1",
        "-timeout=120",
    ]
    options += [f"-artifact_prefix={home}/", f"-dict={folder}/words", "-rss_limit_mb=1500"]
    words = ["-m", "tests.fuzz.guided", str(home), url, str(folder / "corpus"), *options]
    words += ["-max_len=4096"]
    log = home / "log"
    with log.open("wb") as to:
        done = subprocess.run([sys.executable, *words], stdout=to, stderr=to, check=False)
    redis.kill()
    redis.wait()
    said = log.read_text(errors="replace")
    if done.returncode:
        run.tell(f"seed {seed}: {said[-4000:]}", is_broken=True)
    executed = [line.split()[-1] for line in said.splitlines() if "executed_units" in line]
    return int(executed[0]) if executed else 0


def _sent(run: Run, folder: Path, corpus: Path) -> None:
    sent, own = 0, 0
    with guarded(folder) as (served, key):
        for path in sorted(corpus.iterdir()):
            asked = Asked.read(path.read_bytes())
            if asked is None or b"activate" in asked.target:
                continue
            for chunked in (False, True):
                sent += 1
                try:
                    own += send(served, key, asked, chunked=chunked) is not None
                except (AssertionError, TimeoutError) as error:
                    run.tell(f"{path}: {error}", is_broken=True)
    run.tell(f"{sent} sent over a socket, {own} answered by the service")


def records(run: Run) -> None:
    """Forge what is in Redis."""
    folder = run.part("records")
    until_s = time.monotonic() + run.seconds / 6
    redis, url = start_redis(folder)
    try:
        with Application(folder, url) as application:
            answered = try_records(application, run.seed, lambda _: time.monotonic() > until_s)
            application.ask_as_ever()
        run.tell(f"{sum(answered.values())} answers over forged records: {dict(answered)}")
    except AssertionError as error:
        run.tell(str(error), is_broken=True)
    finally:
        redis.kill()
        redis.wait()


def bundles(run: Run) -> None:
    """Open changed bundles."""
    folder = run.part("bundles")
    whole = tiny_bundle(folder / "whole", items=2100, large_bytes=200, ranker=tiny_ranker)
    _opened(run, whole, "tests.faults.bundle_opener", run.seconds / 6)


def snapshots(run: Run) -> None:
    """Open changed snapshots."""
    folder = run.part("snapshots")
    whole = write_snapshot(Snapshots(folder / "whole", 2), changed_generation())
    _opened(run, whole, "tests.faults.opener", run.seconds / 12)


def _opened(run: Run, whole: Path, module: str, seconds: float) -> None:
    home = whole.parents[1] / "changed"
    until_s = time.monotonic() + seconds
    opened = files.try_folders(whole, home, module, run.seed, until_s, most=sys.maxsize)
    run.tell(
        f"{opened.folders} opened: {dict(opened.said)}; foreign code ended {len(opened.ended)}"
    )
    for one in opened.defects:
        run.tell(one, is_broken=True)


def keys(run: Run) -> None:
    """Read changed files of keys."""
    run.part("keys")
    run.tell(try_keys(random.Random(run.seed), run.seconds / 12))


PARTS: dict[str, Callable[[Run], None]] = {
    part.__name__: part for part in (described, requests, records, bundles, snapshots, keys)
}


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=720, help="of all parts but the first")
    parser.add_argument("--examples", type=int, default=100, help="of schemathesis, for each call")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"))
    parser.add_argument("--only", choices=PARTS, action="append")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 20) if given.seed is None else given.seed
    run = Run(given.out.absolute(), seed, given.seconds, given.examples)
    run.tell(f"seed {seed}")
    for name in given.only or PARTS:
        PARTS[name](run)
    run.tell(f"{len(run.broken)} promises broken, seed {seed}")
    return int(bool(run.broken))


if __name__ == "__main__":
    sys.exit(main())
