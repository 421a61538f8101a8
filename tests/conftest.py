"""For all tests: hypothesis sets no deadline, since how busy the machine is says nothing about the code."""

from hypothesis import settings

settings.register_profile("gslb", deadline=None)
settings.load_profile("gslb")
