"""For all tests: hypothesis sets no deadline, since how busy the machine is says nothing about the code.

80 examples a property, not 100: the whole suite stays within its 4 minutes.
"""

import os

import pytest
from hypothesis import settings

settings.register_profile("gslb", deadline=None, max_examples=80)
settings.load_profile("gslb")


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory):
    """Prefix tables cost seconds to build: the nodes of all tests of a run share them, as those of a host would."""
    base = tmp_path_factory.getbasetemp()
    os.environ["CACHE_DIRECTORY"] = str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """What mostly waits begins first (`--no-loadscope-reorder` keeps it so): else one such file is alone at the end."""
    items.sort(key=lambda item: "/chaos/" not in item.nodeid and "/e2e/" not in item.nodeid)
