"""What holds for all tests."""

from hypothesis import settings

# How long one example takes says more about the machine's other work than about the code; pytest's timeout remains.
settings.register_profile("bakehouse", deadline=None)
# What `script/test` runs of what is worth it: twenty times as much, and forty times with `--long`.
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.register_profile("exhaustive", deadline=None, max_examples=4000)
settings.load_profile("bakehouse")
