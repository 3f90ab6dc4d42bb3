"""What holds for the whole suite: a busy machine makes no property false."""

from hypothesis import settings

import training  # noqa: F401 - before torch, whose threads then wait asleep

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
