"""What the commands of administration share: for whom they say that they act, and how they show rows."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from hygie.base.language import set_language
from hygie.cli.acts import operator_name, show_rows
from hygie.cli.console import Console
from hygie.cli.frame import Frame


def test_variables_of_a_login_do_not_choose_the_operators_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert operator_name() == f"local:{pwd.getpwuid(os.getuid()).pw_name}"


def test_an_account_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert operator_name() == f"local:{2**31 - 7}"


@pytest.mark.parametrize("json_mode", [False, True])
def test_a_row_that_knows_less_than_the_others_is_shown(json_mode: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """An erasure that was interrupted has no certificate yet, in a list with others that have one."""
    certified = {"state": "closed", "erasure": "e1", "final": True, "basis": "rgpd-17-1-b"}
    asked = {"state": "asked", "erasure": "e2", "final": False}
    set_language("en")
    try:
        for rows in ([certified, asked], [asked, certified]):
            show_rows(Frame(Path(), Console(json_mode=json_mode)), rows)
            said = capsys.readouterr().out
            assert all(word in said for word in ("e1", "e2", "rgpd-17-1-b"))
    finally:
        set_language(None)
