"""Fixtures of the end-to-end tests: a sandbox of the sample configuration, and whole clusters over it."""

import pytest

from tests.support.sandbox import Sandbox, running


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One whole cluster without Redis for the tests of a module that only look."""
    box = Sandbox(tmp_path_factory.mktemp("cluster"))
    with running(box.cluster()) as cluster:
        box.wait_ready()
        yield box, cluster
