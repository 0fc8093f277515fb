"""Who a command of administration says that it acts for."""

from __future__ import annotations

import os
import pwd

import pytest

from hygie.cli.acts import operator_name


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
