"""Write docs/reference/flows.md from the shipped matrix. Run it after changing a line."""

from __future__ import annotations

from pathlib import Path

from hygie.proof.flows.declared import SYSTEM_SOCKETS, shipped_flows
from hygie.proof.flows.model import PARTIES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "flows.md"
HEAD = """\
# Flow matrix

Written by `tools/flow_reference.py` from `src/hygie/proof/flows/matrix.toml`; do not edit by hand. Who may call whom:
what no line says is refused. `hygie flows show` tells, on a running installation, the addresses that its settings give
to each line, whether something listens there, how many are connected, and everything that listens or is connected on no
line. `hygie work` looks each minute (check `tech-2.connections`), and tries from each zone what the others must refuse
(`tech-2.zones`).

| who | calls | where | what for |
|---|---|---|---|
"""
WHERE = {
    "host": "`host.address`, `host.port`: TLS",
    "database": "the embedded server's socket, or `database.dsn`",
    "kms": "`kms.socket`",
    "witness": "`witness.socket`, or `witness.url`",
    "timestamp": "`timestamp.url`, or the program of `timestamp.command`; nothing by default",
    "syslog_receiver": "`syslog_receiver.address`, `syslog_receiver.port`: TLS on both sides; none by default",
    "channels": "each of the `channels`: TLS, or a file; none by default",
    "soc": "each of the `soc`: mutual TLS, or a file; none by default",
    "metrics": "`metrics.address`, `metrics.port`: this machine only; none by default",
    "jwks": "the `https` addresses that applications registered",
    "sites": "`path` of each of the `sites`: files",
    "backup": "`backups.path`: files",
    "system": "below",
}
TAIL = """
System sockets, that the C library and systemd make any program call: {sockets}.

What is looked at: TCP and Unix stream sockets of the machine, and which processes hold them, as the kernel tells
(Linux; elsewhere the matrix is shown and nothing is known of what runs). Only root may look into processes that hide
from others, which all of Hygie's do: for anybody else a flow that is declared is told without its name, and one that is
not is unknown, not green. A program started by a process of Hygie is of its party. Files on mounted sites and UDP (the
resolver) are not seen this way.
"""


def page() -> str:
    """The Markdown page. Raises: KeyError: an address without its words here."""
    rows = [
        f"| {PARTIES[one.caller].en} | {PARTIES[one.called].en} | {WHERE[one.at]} | {one.en} |\n"
        for one in shipped_flows()
    ]
    return HEAD + "".join(rows) + TAIL.format(sockets=", ".join(f"`{name}`" for name in SYSTEM_SOCKETS))


if __name__ == "__main__":
    PAGE.write_text(page())
