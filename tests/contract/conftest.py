"""What several test files share: a running product, one per file."""

import pytest

# Their assertions say what they compared, like those of the tests.
pytest.register_assert_rewrite("answers", "browsers", "stack", "trail")

from stack import Stack


@pytest.fixture(scope="module")
def local():
    """`pcs-local`, with transitions of one second; see stack.py for what it checks on every call."""
    running = Stack("--transition-seconds", "1")
    yield running
    running.kill()


@pytest.fixture
def empty(local):
    """The same with no clusters in PCS."""
    local.settle()
    local.control("reset", {})
    return local
