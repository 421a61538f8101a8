"""For all tests: hypothesis sets no deadline, since how busy the machine is says nothing about the code.

80 examples a property, not 100: the whole suite stays within its 4 minutes.
"""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parent

gc.disable()  # while tests are collected: all of it stays

settings.register_profile("gslb", deadline=None, max_examples=80)
settings.register_profile("guards", settings.get_profile("gslb"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("gslb")


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory):
    """Prefix tables cost seconds to build: the nodes of all tests of a run share them, as those of a host would."""
    base = tmp_path_factory.getbasetemp()
    os.environ["CACHE_DIRECTORY"] = str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The longest files begin first, then those that wait and those that compute take turns.

    Else one file is alone at the end, or every process waits at once. `--no-loadscope-reorder` keeps this order.
    """
    kinds = {"first": [], "waits": [], "computes": []}
    for item in items:
        folder = item.path.relative_to(ROOT).parts[0]
        kinds[{"chaos": "first", "e2e": "first", "io": "waits"}.get(folder, "computes")].append(item)
    turns = [(place / len(kind), item) for kind in list(kinds.values())[1:] for place, item in enumerate(kind)]
    items[:] = kinds["first"] + [item for _, item in sorted(turns, key=lambda turn: turn[0])]


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session, exitstatus):
    """How this run ended, for tests/support/alone.py."""
    if not hasattr(session.config, "workerinput") and session.config.pluginmanager.hasplugin("cacheprovider"):
        session.config.cache.set("gslb/exitstatus", int(exitstatus))
