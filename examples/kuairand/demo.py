"""The demo: from a real exposure log to a service, and to videos recalled as soon as posted."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import pyarrow.parquet as pq
import typer

from examples.kuairand.made import Made
from service.supervisor import StartFailed, bind

HERE = Path(__file__).parent
HOST = "127.0.0.1"
K = 100
BATCH = 500
ITEM_COLUMNS = ("tags", "author_id")


class Client:
    """JSON over one kept connection to the service on this machine."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=30)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer's body; raises RuntimeError on an error status."""
        payload = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, payload, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text) if text else None


class Log:
    """The shipped exposure log, as far as the demo tells of it."""

    def __init__(self, data: Path) -> None:
        rows = pq.read_table(data / "interactions.parquet").to_pylist()
        self.items = {
            row["item_id"]: row for row in pq.read_table(data / "items.parquet").to_pylist()
        }
        trained = [row for row in rows if row["split"] == "train"]
        tested = [row for row in rows if row["split"] == "test" and row["label"] == 1]
        self.trained_items = {row["item_id"] for row in trained}
        self.trained_users = {row["user_id"] for row in trained}
        self.seen: dict[str, list[str]] = {}
        self.liked: dict[str, list[str]] = {}
        for row in trained:
            self.seen.setdefault(row["user_id"], []).append(row["item_id"])
            if row["label"] == 1:
                self.liked.setdefault(row["user_id"], []).append(row["item_id"])
        self.watched: dict[str, list[str]] = {}
        for row in tested:
            self.watched.setdefault(row["user_id"], []).append(row["item_id"])

    @property
    def new_items(self) -> list[str]:
        """The videos that training never saw."""
        return [one for one in self.items if one not in self.trained_items]

    def content(self, item: str, features: set[str]) -> dict[str, Any]:
        """Return a video as it would be posted: what is known before anyone has seen it."""
        return {k: v for k, v in self.items[item].items() if v is not None and k in features}

    def top_tags(self, user: str, n: int = 3) -> list[str]:
        """Return the tags a user liked most often in training."""
        liked = (tag for item in self.liked.get(user, []) for tag in self.items[item]["tags"])
        return [tag for tag, _ in Counter(liked).most_common(n)]


def demo(
    port: Annotated[int, typer.Option(help="Where to serve.", min=1, max=65_535)] = 8000,
    once: Annotated[bool, typer.Option("--once", help="Stop after the recalls.")] = False,
    seed: Annotated[int, typer.Option(help="Of training; each has its own run and bundle.")] = 1,
) -> None:
    """Train on the shipped sample, export, serve, and print three recalls."""
    require_free(port)
    began = time.monotonic()
    made = Made(HERE / "train.yaml", seed)
    say(made.why())
    make(made)
    say(f"trained and exported after {time.monotonic() - began:.0f} s: {made.bundle}")
    with serving(made, port) as service:
        firstsight("users", "load", made.bundle.parent / "users.parquet", "--url", url(port))
        log, client = Log(HERE / "data"), Client(port)
        schema = json.loads((made.bundle / "schema.json").read_text())
        features = set(schema["item"]["content"])
        tell_warm(client, log)
        tell_cold(client, log)
        tell_new(client, log, features)
        if once:
            return
        say(f"serving at {url(port)} (docs at {url(port)}/docs); Ctrl-C stops")
        service.wait()


def say(text: str = "") -> None:
    """Print a line at once."""
    typer.echo(text)
    sys.stdout.flush()


def url(port: int) -> str:
    """Return the service's address."""
    return f"http://{HOST}:{port}"


def require_free(port: int) -> None:
    """End the demo before its work if the service could not listen where it has to."""
    try:
        bind(HOST, port).close()
    except StartFailed as error:
        typer.echo(f"demo: {error} (make demo PORT=8080)", err=True)
        raise typer.Exit(2) from error


def make(made: Made) -> None:
    """Train and export what is not there yet; a training that was stopped goes on."""
    if not made.is_trained:
        options = [word for one in made.overrides for word in ("--set", one)]
        firstsight("train", made.config, "--out", made.run, *options, "--resume")
    if not made.bundle.exists():
        made.bundle.parent.mkdir(parents=True, exist_ok=True)
        firstsight("export", made.run, "--out", made.bundle, "--users", "--catalogue", "trained")


def firstsight(*arguments: object) -> None:
    """Run the command, shown as a user would type it; a failure ends the demo with its code."""
    words = [str(argument) for argument in arguments]
    say(f"\n$ firstsight {' '.join(words)}")
    done = subprocess.run([sys.executable, "-m", "firstsight", *words], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


@contextmanager
def serving(made: Made, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the bundle until the block ends, then stop it and wait."""
    words = ["serve", "--bundle", str(made.bundle), "--port", str(port)]
    say(f"\n$ firstsight {' '.join(words)}")
    log = made.bundle.parent / "serve.log"
    environ = os.environ | {
        "FIRSTSIGHT_BUNDLES": str(made.bundle.parent),
        "FIRSTSIGHT_DATA_FOLDER": str(made.redis),
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    service = subprocess.Popen(
        [sys.executable, "-m", "firstsight", *words],
        stderr=log.open("wb"),
        env=environ,
        start_new_session=True,  # Ctrl-C reaches the demo, which then stops the service itself
    )
    try:
        wait_ready(service, port, log)
        yield service
    except KeyboardInterrupt:
        say("stopping")
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(timeout=60)


def wait_ready(service: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 60) -> None:
    """Wait until the service says that it is ready; ends the demo if it is not to be."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and service.poll() is None:
        try:
            Client(port).call("GET", "/readyz")
        except (OSError, RuntimeError, http.client.HTTPException):
            time.sleep(0.1)
        else:
            return
    say(log.read_text(errors="replace")[-2000:])
    raise typer.Exit(service.poll() or 1)


def recall(client: Client, log: Log, user: str, **options: Any) -> dict[str, Any]:
    """Recall for a user without what the user has seen."""
    exclude = list(dict.fromkeys(log.seen.get(user, [])))
    body = {"user_id": user, "k": K, "exclude": exclude, **options}
    found: dict[str, Any] = client.call("POST", "/recall", body)
    return found


def shown(found: dict[str, Any], count: int = 5) -> str:
    """Return an answer in one line, its lists cut short."""
    cut = {**found, "items": found["items"][:count], "scores": found["scores"][:count]}
    return json.dumps(cut)


def tell_warm(client: Client, log: Log) -> None:
    """Recall for the user of whom most is known."""
    user = max(log.liked, key=lambda one: (len(log.liked[one]), one))
    found = recall(client, log, user)
    say(f"\nA warm user: {user}, {len(log.liked[user])} long views, top tags {log.top_tags(user)}")
    say(f"  POST /recall (without the {len(set(log.seen[user]))} videos already seen)")
    say(f"  {shown(found)}")
    assert not set(found["items"]) & set(log.seen[user])


def tell_cold(client: Client, log: Log) -> None:
    """Recall for a user whom training never saw."""
    user = min(one for one in log.watched if one not in log.trained_users)
    say(f"\nA cold user: {user}, never seen in training")
    found = client.call("GET", f"/recall?user_id={quote(user, safe='')}&k={K}")
    say(f"  GET /recall?user_id={user}&k={K}")
    say(f"  {shown(found)}")


def tell_new(client: Client, log: Log, features: set[str]) -> None:
    """Post every video that training never saw; ask who of its later viewers is shown it."""
    new = log.new_items
    records = {one: {"id": one, **log.content(one, features)} for one in new}
    began = time.perf_counter()
    for start in range(0, len(new), BATCH):
        batch = [records[one] for one in new[start : start + BATCH]]
        answer = client.call("POST", "/items?vector=false", {"items": batch})
        assert all(one["status"] in (200, 201) for one in answer["results"])
    seconds = time.perf_counter() - began
    say(f"\nNew items: {len(new)} videos that training never saw, posted in {seconds:.1f} s")
    viewers: dict[str, list[str]] = {}
    for user, items in log.watched.items():
        for item in set(items) - log.trained_items:
            viewers.setdefault(item, []).append(user)
    asked = sorted({user for users in viewers.values() for user in users})
    found = {user: recall(client, log, user, after=answer["log_id"])["items"] for user in asked}
    tell_example(client, log, viewers, found, records)
    tell_share(log, viewers, found)


def tell_share(log: Log, viewers: dict[str, list[str]], found: dict[str, list[str]]) -> None:
    """Print the share of new videos that reach a later viewer, beside chance and popularity."""
    reached = [one for one, users in viewers.items() if any(one in found[u] for u in users)]
    share = len(reached) / len(viewers)

    def missed(users: Sequence[str]) -> float:
        product = 1.0
        for user in users:
            product *= 1 - K / (len(log.items) - len(set(log.seen.get(user, []))))
        return product

    chance = sum(1 - missed(users) for users in viewers.values()) / len(viewers)
    say(
        f"\n{len(viewers)} of the new videos were really watched afterwards (the service does not "
        f"know).\nRecalled@{K} by at least one of those viewers: {share:.1%}; placed at random "
        f"{chance:.1%}; placed by popularity 0.0% (nobody has clicked them)."
        f" That is {share / chance:.1f} x random."
    )


def tell_example(
    client: Client,
    log: Log,
    viewers: dict[str, list[str]],
    found: dict[str, list[str]],
    records: dict[str, dict[str, Any]],
) -> None:
    """Tell one of them, recalled for a warm viewer: posted again, then asked for."""
    ranked = [
        (found[user].index(item), item, user)
        for item, users in viewers.items()
        for user in users
        if item in found[user] and user in log.liked
    ]
    if not ranked:
        say("No new video is recalled for a warm viewer who watched it later.")
        return
    _, item, user = min(ranked)
    video = records[item]
    began = time.perf_counter()
    posted = client.call("POST", "/items", video)
    answer = recall(client, log, user, after=posted["log_id"])
    took = (time.perf_counter() - began) * 1000
    rank = answer["items"].index(item) + 1
    say(f"\nA just-posted item: {item}, tags {video['tags']}, author {video.get('author_id')}")
    say(f"  POST /items -> state {posted['state']}, dropped {posted['dropped']}")
    say(f"  for {user}, who watched it later and whose top tags are {log.top_tags(user)}:")
    say(f"  POST /recall -> rank {rank} of {K}, {took:.0f} ms after the post began")


if __name__ == "__main__":
    typer.run(demo)
