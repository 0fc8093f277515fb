"""The file KMS inside the caller's own process: sandboxes of drills, tests, offline commands. Never for hosting."""

from __future__ import annotations

from typing import Any

from hygie.keys.calls import KmsCalls
from hygie.keys.desk import Desk
from hygie.keys.file_kms import FileKms
from hygie.keys.messages import Question, answer_frame, question_frame, read_answer, read_question
from hygie.keys.peer import this_process


class InProcessKms(KmsCalls):
    """An opened FileKms behind the asynchronous protocol; questions and answers cross the same encoding."""

    def __init__(self, kms: FileKms) -> None:
        self._kms = kms
        self._desk = Desk(kms)

    async def ask(self, question: Question, kind: Any) -> Any:
        """See KmsCalls.ask."""
        _, copy = read_question(question_frame(0, question)[4:])
        value = await self._desk.answer(copy, this_process(), administers=True)
        return read_answer(answer_frame(0, value)[8:], kind)

    async def close(self) -> None:
        """Close the desk and the file KMS."""
        await self._desk.close()
        self._kms.close()
