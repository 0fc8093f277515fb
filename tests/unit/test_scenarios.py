"""What a scenario says of an answer that came late, or never. The rest is tried for real: tests/acceptance."""

from __future__ import annotations

import pytest

from hygie.base.channels import MailSettings
from hygie.base.layout import DataFolder
from hygie.scenarios.model import NOTICED_S_MAX, TOLD_S_MAX, UNSEEN, Answer, Attack, checks_of
from hygie.scenarios.run import figures_of
from hygie.scenarios.sandbox import Sandbox, in_the_open


async def nothing(_: Sandbox) -> None:
    """An attack that is none."""


ATTACK = Attack("an attack", "a-rule", nothing)


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (Answer("f", 0.5, 1.0, 2.0), [True, True, True]),
        (Answer("f", NOTICED_S_MAX + 0.1, 1.0, 2.0), [False, True, True]),
        (Answer("f", 0.5, TOLD_S_MAX + 0.1, 2.0), [True, False, True]),
        (Answer("f", 0.5, 1.0, None), [True, True, False]),
        (UNSEEN, [False, False, False]),
    ],
)
def test_what_comes_late_or_never_does_not_pass(answer: Answer, passed: list[bool]) -> None:
    checks = checks_of(ATTACK, answer)
    assert [one.passed for one in checks] == passed
    assert [one.detail == "never" for one in checks] == [answer.noticed_s is None, answer.told_s is None,
                                                        answer.acknowledged_s is None]  # fmt: skip


def test_figures_are_of_what_came() -> None:
    answers = [Answer("a", 0.5, 1.0, None), Answer("b", 2.0, None, None), UNSEEN]
    assert figures_of(answers) == {"attacks": 3.0, "noticed_s_max": 2.0, "told_s_max": 1.0}


def test_a_channel_of_production_finds_its_files_from_the_sandbox(tmp_path: DataFolder) -> None:
    folder = DataFolder.at(tmp_path)
    mail = MailSettings(name="m", host="h", secret="mail.password", user="u", sender="a@b.fr", to=("c@d.fr",))
    assert in_the_open(mail, folder).secret == str(folder.resolve("mail.password"))
    assert in_the_open(mail, folder).authority is None
