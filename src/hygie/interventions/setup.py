"""What a machine needs so that interventions are the only way in, and are recorded: text of four files. Pure.

sudo records, not a program of the person's own: its monitor is root's, and so is what it writes; who is recorded can
neither stop it nor take anything back. Where sudo cannot write, it runs nothing.

sshd starts the forced command by the account's login shell. That must be one that reads no file of the person first
(dash: /bin/sh on Debian; bash and zsh do): else the recorder can be left, or run for a moment beside a shell that
nobody records. Each recording says which login shell its account had: sudo puts it in the environment from the
machine's accounts, and the rules let nobody else put it there. The recorded shell is bash.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from hygie.interventions.matching import SHELL
from hygie.keys.ssh_authority import RECORDER

SSHD = "/etc/ssh/sshd_config.d/hygie.conf"
SUDOERS = "/etc/sudoers.d/hygie"

_SESSION = f"""\
#!/bin/sh
# sshd runs this in place of what was asked (force-command of the certificate): intervention, end of the certificate.
set -u
exec /usr/bin/sudo -n -u "$(/usr/bin/id -un)" {SHELL} "$1" "${{SSH_CONNECTION:-}}" "$2" "${{SSH_ORIGINAL_COMMAND:-}}"
"""
_SHELL = """\
#!/bin/sh
# sudo runs and records this: the person's own shell, or the command that was asked, until the certificate ends.
set -u
left=$(($3 - $(/usr/bin/date +%s)))
[ "$left" -gt 0 ] || { echo "hygie: the intervention is over" >&2; exit 1; }
HYGIE_INTERVENTION=$1
SHELL=/bin/bash
[ -x "$SHELL" ] || SHELL=/bin/sh
export HYGIE_INTERVENTION SHELL
[ -z "$4" ] || exec /usr/bin/timeout --foreground -k 5 "$left" "$SHELL" -c "$4"
exec /usr/bin/timeout --foreground -k 5 "$left" "$SHELL" -l
"""


def sshd_config(authority: PurePosixPath, revoked: PurePosixPath) -> str:
    """The part of sshd's configuration: certificates of interventions, and no other way in."""
    return f"""\
TrustedUserCAKeys {authority}
RevokedKeys {revoked}
AuthorizedKeysFile none
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
PermitUserRC no
PermitUserEnvironment no
AllowAgentForwarding no
AllowTcpForwarding no
AllowStreamLocalForwarding no
X11Forwarding no
MaxSessions 1
LogLevel INFO
"""


def sudoers(accounts: Sequence[str], recordings: PurePosixPath, reader: str) -> str:
    """The part of sudo's: each account runs its own recorded shell, and all that sudo runs for it is recorded.

    Args: reader: account of the machine that ``hygie work`` runs as; it reads and removes what was recorded.
    """
    lines = [
        f"Defaults iolog_dir={recordings}, iolog_file=%{{user}}-%Y%m%d%H%M%S-XXXXXX",
        f"Defaults iolog_user={reader}, iolog_mode=0600, iolog_flush, !log_passwords, !ignore_iolog_errors",
        "Defaults !compress_io",
    ]
    for account in accounts:
        lines += [
            f"Defaults:{account} log_input, log_output, env_reset",
            f"Defaults:{account} env_keep -= SHELL",
            f"{account} ALL=({account}) NOPASSWD: LOG_INPUT: LOG_OUTPUT: {SHELL}",
        ]
    return "".join(f"{line}\n" for line in lines)


def files(
    accounts: Sequence[str],
    *,
    authority: PurePosixPath,
    revoked: PurePosixPath,
    recordings: PurePosixPath,
    reader: str,
) -> dict[str, tuple[int, str]]:
    """Mode and text of each file, by its path on the machine."""
    return {
        SSHD: (0o644, sshd_config(authority, revoked)),
        SUDOERS: (0o440, sudoers(accounts, recordings, reader)),
        RECORDER: (0o755, _SESSION),
        SHELL: (0o755, _SHELL),
    }
