"""For all tests: hypothesis sets no deadline, since how busy the machine is says nothing about the code.

80 examples a property, not 100: the whole suite stays within its 4 minutes.
"""

from hypothesis import settings

settings.register_profile("gslb", deadline=None, max_examples=80)
settings.load_profile("gslb")
