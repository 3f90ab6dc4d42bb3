import subprocess
import sys


def said(*lines: str) -> list[str]:
    """Run lines of Python in a process of its own, and return what it prints."""
    code = "\n".join(["import gc", "from service.child.importing import importing", *lines])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_collector_never_looks_at_what_was_imported() -> None:
    lines = ["with importing():", "  import fractions", "  print(gc.isenabled())"]
    lines += ["ours = {id(one) for one in gc.get_objects()}"]
    lines += ["print(id(fractions.Fraction) in ours, gc.isenabled())"]
    assert said(*lines) == ["False", "False", "True"]


def test_an_import_that_fails_leaves_the_collector_at_work() -> None:
    lines = ["try:", "  with importing():", "    import no_such_module"]
    lines += ["except ModuleNotFoundError:", "  print(gc.isenabled())"]
    assert said(*lines) == ["True"]
