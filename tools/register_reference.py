"""Write docs/reference/registers.md from the schemas of registers. Run it after changing one."""

from __future__ import annotations

from pathlib import Path

from hygie.registers.schema import Clock, Field, Rule, Schema, shipped_schemas

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "registers.md"
HEAD = """\
# Registers

Written by `tools/register_reference.py` from `src/hygie/registers/schemas/`; do not edit by hand. What the words of a
schema mean: [register schema](../formats/register-schema.md). `hygie register fields NAME` shows one of them, in French
or in English; `hygie register due` what they expect, and by when.

*approval*: entering the state, or changing a record in it, takes an approver who is not the author. *closed*: nothing
is expected of the record any more. A field is required always (**yes**) or in the states named. *proves*: what its
records serve; `EXI-…` HDS v2, `A.…` ISO/IEC 27001:2022 annex A, `iso27001:…` its clauses, `rgpd:…` articles of the
RGPD, other ids are [obligations](obligations.md). A clock's delay is *literal* when a text says it, *contract* when
the client's contract does, *promise* when it is this platform's own.
"""


def page() -> str:
    """The Markdown page."""
    schemas = shipped_schemas()
    rows = "".join(
        f"| [{one.id}](#{one.id}) | {one.fr} | {one.en} | {one.owner} | {one.tenant} |\n" for one in schemas.values()
    )
    table = f"\n| register | nom | name | answers for it | of one client |\n|---|---|---|---|---|\n{rows}"
    return HEAD + table + "".join(_section(one) for one in schemas.values())


def _section(schema: Schema) -> str:
    keys = f"`{schema.prefix}-0001`" if not schema.key_field else f"its `{schema.key_field}`"
    due_in = f" ({', '.join(schema.due_states)})" if schema.due_states else ""
    due = f" · due: `{schema.due_field}`{due_in}" if schema.due_field else ""
    review = f" · looked at again after {schema.review_days} days" if schema.review_days else ""
    parts = [
        f"\n## {schema.id}\n\n**{schema.fr}**. {schema.about_fr}\n\n**{schema.en}**. {schema.about_en}\n",
        f"\nkeys: {keys}{due}{review} · proves: {', '.join(schema.proves)}\n",
        "\n| state | état | may follow | |\n|---|---|---|---|\n",
    ]
    for state in schema.states:
        marks = ", ".join(word for word, on in (("approval", state.approval), ("closed", state.closed)) if on)
        parts.append(f"| `{state.id}` {state.en} | {state.fr} | {', '.join(state.to)} | {marks} |\n")
    parts.append("\n| field | champ | type | required |\n|---|---|---|---|\n")
    parts += [f"| `{one.id}` {one.en} | {one.fr} | {_type(one)} | {_required(one)} |\n" for one in schema.fields]
    if schema.rules:
        parts.append("\nRules:\n\n" + "".join(f"- {_rule(one)}\n" for one in schema.rules))
    if schema.clocks:
        parts.append(
            "\n| clock | délai | runs from | delay | stopped by | who | source |\n|---|---|---|---|---|---|---|\n"
        )
        parts += [_clock(one) for one in schema.clocks]
    return "".join(parts)


def _type(field: Field) -> str:
    inside = field.target or ", ".join(one.id for one in field.choices)
    return f"{field.type}{f' ({inside})' if inside else ''}{' · personal' if field.personal else ''}"


def _required(field: Field) -> str:
    return "**yes**" if field.required else ", ".join(field.required_in)


def _rule(rule: Rule) -> str:
    where = f" in {', '.join(rule.states)}" if rule.states else ""
    values = f" is {' or '.join(rule.values)}" if rule.values else ""
    delay = f" + {rule.delay}" if rule.delay else ""
    said = {
        "after": f"`{rule.a}` after `{rule.b}`",
        "not_before": f"`{rule.a}` not before `{rule.b}`{delay}",
        "within": f"`{rule.a}` within `{rule.b}`{delay}",
        "at_least": f"`{rule.a}` at least `{rule.b}`",
        "different": f"`{rule.a}` is not `{rule.b}`",
        "filled": f"`{rule.a}` filled when `{rule.b}`{values or ' is filled'}",
        "never": f"`{rule.a}` never{values.removeprefix(' is')}",
    }
    return f"{said[rule.kind]}{where}: {rule.en}"


def _clock(clock: Clock) -> str:
    delay = clock.delay or f"`{clock.minutes_field}` minutes"
    when = f" when `{clock.if_field}` is {' or '.join(clock.values)}" if clock.if_field else ""
    done = f"`{clock.done}`" if clock.done else ""
    return (
        f"| {clock.en} | {clock.fr} | `{clock.start}`{when} | {delay} | {done} | {clock.who} "
        f"| *{clock.status}*. {clock.source_en} |\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page())
