"""What holds for all tests."""

from hypothesis import settings

# How long one example takes says more about the machine's other work than about the code; pytest's timeout remains.
settings.register_profile("bakehouse", deadline=None)
settings.load_profile("bakehouse")
