"""What holds for all tests."""

from hypothesis import settings

# How long one example takes says more about the machine's other work than about the code; pytest's timeout remains.
settings.register_profile("bakehouse", deadline=None)
# What `script/test` runs: forty times as much of what is worth it.
settings.register_profile("thorough", deadline=None, max_examples=4000)
settings.load_profile("bakehouse")
