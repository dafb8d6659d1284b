"""What can go wrong is said in one line, whatever names are in it."""

from __future__ import annotations

import pytest

from abprop.checkpoint import CheckpointError
from abprop.errors import UserError, unknown

NASTY = {
    "two\nlines": "two lines",
    "back\r to the start": "back  to the start",
    "\x1b[2J\x1b]0;title\x07": "?[2J?]0;title?",
    "\u202egnp.exe": "?gnp.exe",
    "zero\u200bwidth\x00": "zero?width?",
    "caf\udce9": "caf\\udce9",
    "caf\u00e9 \u4e2d\u6587": "caf\u00e9 \u4e2d\u6587",
}


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("kind", [UserError, CheckpointError])
def test_a_message_is_one_line_that_any_terminal_can_print(text: str, kind: type[UserError]):
    message = str(kind(f"{text} is wrong"))
    assert message == f"{NASTY[text]} is wrong"
    assert message.isprintable() and message.encode("utf-8")


def test_a_name_that_is_not_known_is_not_repeated_at_any_length():
    assert "did you mean 'latent'" in str(unknown("key", "latnt", ["latent"]))
    assert len(str(unknown("key", "a" * 100_000, ["latent"]))) < 200
