"""The stack is the one that was read and agreed to (golden.py)."""

import difflib

import golden


def test_the_stack_is_the_one_that_was_reviewed():
    files = golden.files()
    assert {path.name for path in golden.FOLDER.iterdir()} == {path.name for path in files}
    changes = []
    for path, contents in files.items():
        changes += difflib.unified_diff(path.read_text().splitlines(), contents.splitlines(), path.name, "now",
                                        n=2, lineterm="")
    assert not changes, "\n".join([*changes, "read this, then run `python tests/deploy/golden.py`"])
