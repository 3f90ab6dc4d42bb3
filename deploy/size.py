"""How large what is installed is, by package and by layer of the image that it makes.

`python -m deploy.size SITE_PACKAGES`. The layer below, the base image, is in no folder that could
be measured here; docs/deploy.md says what is known of it.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

MIB = 1 << 20
OURS = "firstsight"


def size_bytes(distribution: Distribution) -> int:
    """Return the bytes of all files that a distribution has installed, compiled ones included."""
    files = {Path(str(distribution.locate_file(file))) for file in distribution.files or ()}
    return sum(path.stat().st_size for path in files if path.is_file())


def sizes(site: Path) -> Iterator[tuple[str, int]]:
    """Give name and bytes of each distribution in a site-packages folder, the largest first."""
    found = {one.metadata["Name"]: size_bytes(one) for one in distributions(path=[str(site)])}
    yield from sorted(found.items(), key=lambda pair: -pair[1])


def layers(sized: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Give name and bytes of each layer of ours, from the bytes of each distribution by name."""
    yield "libraries", sum(size for name, size in sized.items() if name != OURS)
    yield "wheel", sized.get(OURS, 0)


def main(arguments: list[str]) -> int:
    """Print the sizes by package and by layer, and the sum; 1 if that is over `--at-most`."""
    parser = argparse.ArgumentParser(prog="python -m deploy.size", description=__doc__)
    parser.add_argument("site", type=Path, help="a site-packages folder")
    parser.add_argument("--at-most", type=float, metavar="MIB", default=float("inf"))
    told = parser.parse_args(arguments)
    if not told.site.is_dir():
        parser.error(f"{told.site}: no folder")
    sized = dict(sizes(told.site))
    total = sum(sized.values())
    told_of = [*sized.items(), *((f"layer: {name}", size) for name, size in layers(sized))]
    for name, size in told_of:
        sys.stdout.write(f"{size / MIB:8.1f} MiB  {name}\n")
    sys.stdout.write(f"{total / MIB:8.1f} MiB  in all, without the base image\n")
    return int(total / MIB > told.at_most)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
