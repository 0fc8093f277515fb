"""The KMS's process for tests: a folder of keys and a socket, without an installation around them."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from hygie.base.errors import HygieError
from hygie.keys.secret_source import SecretSource
from hygie.keys.server import run_kms


def main() -> int:
    """Exits with the error's code after one sentence on stderr."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--production", action="store_true")
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--allow-uid", type=int, action="append", default=[])
    parser.add_argument("--passphrase-fd", type=int)
    parser.add_argument("--passphrase-file", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        run_kms(
            given.state,
            given.socket,
            secret=SecretSource(fd=given.passphrase_fd, file=given.passphrase_file).read(),
            production=given.production,
            allowed_uids=given.allow_uid,
            ready_fd=given.ready_fd,
        )
    except HygieError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
