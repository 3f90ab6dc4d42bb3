"""What holds for the whole suite: a busy machine makes no property false."""

from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
