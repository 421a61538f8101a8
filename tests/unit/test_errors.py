import inspect
import pickle

import pytest

from gslb import errors
from gslb.errors import (
    ConfigError,
    GslbError,
    HttpError,
    Problem,
    StateLocked,
    StoreUnavailable,
    UnknownName,
    WireError,
)

TREE = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Exception)]


def test_every_error_is_in_the_tree_that_the_docstring_draws():
    assert all(issubclass(one, GslbError) for one in TREE)
    assert [one.__name__ for one in TREE if one.__name__ not in errors.__doc__] == []


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("a.yaml", 3, "edge.dns", "no", "yes"), "a.yaml:3: edge.dns: no (yes)"),
        (Problem("a.yaml", 0, "", "no"), "a.yaml: no"),
    ],
)
def test_a_problem_is_one_line_that_says_where(problem, line):
    assert str(problem) == line


def test_a_config_error_tells_every_problem_in_order():
    first, second = Problem("a.yaml", 1, "x", "one"), Problem("b.yaml", 2, "y", "two")
    error = ConfigError([first, second])
    assert error.problems == (first, second)
    assert str(error).splitlines() == [str(first), str(second)]


def test_an_unknown_name_comes_with_the_nearest_and_all_known():
    error = UnknownName("policy", "nearst", ["weighted", "nearest"])
    assert str(error) == "unknown policy 'nearst'; did you mean 'nearest'? known: nearest, weighted"
    assert str(UnknownName("policy", "zzz", ["nearest"])) == "unknown policy 'zzz'; known: nearest"


def test_state_errors_can_be_caught_as_one():
    assert issubclass(StateLocked, errors.StateError)
    assert issubclass(StoreUnavailable, errors.StateError)


def test_an_error_carries_what_a_shell_answers_with():
    assert WireError("short").rcode == 1
    assert WireError("version", 16).rcode == 16
    error = HttpError("refused", blame="server", status=502, may_retry=True)
    assert (str(error), error.blame, error.status, error.may_retry) == ("refused", "server", 502, True)


def test_a_problem_crosses_processes():
    problem = Problem("a.yaml", 3, "edge.dns", "no", "yes")
    assert pickle.loads(pickle.dumps(problem)) == problem
