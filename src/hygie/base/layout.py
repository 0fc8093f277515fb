"""Where each thing lives in the data folder. No room writes a path of another room by hand.

::

    DATA/hygie.toml        settings, readable by their owner only
    DATA/postgres/         the embedded database          DATA/postgres.secrets   its generated passwords
    DATA/run/              unix sockets, folder 0700
    DATA/kms/              sealed keys and the key record
    DATA/sites/<name>/     one folder per site, unless a setting says elsewhere
    DATA/witness/          the witness's own key and state
    DATA/backup/           backup target of the default settings
    DATA/tls/              the server's certificate and key
    DATA/logs/             one log per process, rotated
    DATA/erasures/         certificates of erasure, as they were last signed
    DATA/exits/            certificates of destruction at the end of contracts, and the statements of consent
    DATA/incidents/        archives of evidence, one folder an incident
    DATA/upgrades/         copies of the database taken before each upgrade
    DATA/public/           public pages and their data, as they were last published
    DATA/referentials/     référentiels that people imported, canonical JSON
    DATA/ssh/              what sshd reads: the certificate authority and revoked interventions
    DATA/watch/            what other machines sent of their logs, until the watch has read it
    DATA/timestamps/       checkpoints of the journal stamped by a timestamp authority, by month
    DATA/patching/         vulnerability feeds that were brought, the inventory of what runs
    DATA/connection.json   what a FHIR client needs: base_url, ca_file, token
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hygie.base.files import make_private_folder
from hygie.base.settings_checks import ExposedFileError

SOCKET_PATH_BYTES_MAX = 100  # sun_path holds 104 bytes on macOS and 108 on Linux, the final zero included
SOCKET_NAME_BYTES_MAX = 20  # the longest name a room gives to a socket: ".s.PGSQL.5432.lock" is 18


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The data folder of one installation. ``path`` is absolute."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> DataFolder:
        """The data folder at ``path``, made absolute; nothing is created."""
        return cls(Path(os.path.abspath(path.expanduser())))  # noqa: PTH100 (resolve() would follow links)

    @property
    def settings_file(self) -> Path:
        """``hygie.toml``."""
        return self.path / "hygie.toml"

    @property
    def postgres(self) -> Path:
        """The embedded database's own folder."""
        return self.path / "postgres"

    @property
    def postgres_secrets(self) -> Path:
        """The private file of the embedded database's generated passwords."""
        return self.path / "postgres.secrets"

    @property
    def kms(self) -> Path:
        """Sealed keys."""
        return self.path / "kms"

    @property
    def sites(self) -> Path:
        """The default place of the sites' folders."""
        return self.path / "sites"

    @property
    def witness(self) -> Path:
        """The witness's key and state."""
        return self.path / "witness"

    @property
    def backup(self) -> Path:
        """The default backup target."""
        return self.path / "backup"

    @property
    def tls(self) -> Path:
        """Certificate and key of the server."""
        return self.path / "tls"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.path / "logs"

    @property
    def erasures(self) -> Path:
        """Certificates of erasure, one file each."""
        return self.path / "erasures"

    @property
    def exits(self) -> Path:
        """Certificates of destruction, and the controllers' statements of consent."""
        return self.path / "exits"

    @property
    def incidents(self) -> Path:
        """Archives of evidence, in one folder an incident."""
        return self.path / "incidents"

    @property
    def upgrades(self) -> Path:
        """Copies of the database taken before upgrades."""
        return self.path / "upgrades"

    @property
    def public(self) -> Path:
        """Public pages as they were last published."""
        return self.path / "public"

    @property
    def referentials(self) -> Path:
        """Imported référentiels, one file each."""
        return self.path / "referentials"

    @property
    def ssh(self) -> Path:
        """The certificate authority's public key, and the list of revoked interventions."""
        return self.path / "ssh"

    @property
    def watch(self) -> Path:
        """Messages of other machines' syslog that wait to be read."""
        return self.path / "watch"

    @property
    def timestamps(self) -> Path:
        """Stamped checkpoints, one file each, by month."""
        return self.path / "timestamps"

    @property
    def patching(self) -> Path:
        """Vulnerability feeds that were brought, and the inventory of what runs."""
        return self.path / "patching"

    @property
    def connection_file(self) -> Path:
        """What a FHIR client needs to connect."""
        return self.path / "connection.json"

    @property
    def run(self) -> Path:
        """The folder of the sockets: ``run/``, or one under the system's temporary folder when its path is too long."""
        inside = self.path / "run"
        if len(os.fsencode(inside)) + 1 + SOCKET_NAME_BYTES_MAX <= SOCKET_PATH_BYTES_MAX:
            return inside
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:32]
        return Path(tempfile.gettempdir()) / f"hygie-{digest}"

    def socket(self, name: str) -> Path:
        """The path of the socket called ``name``; it fits in a socket address.

        Raises: ExposedFileError: even the temporary folder's path is too long.
        """
        path = self.run / name
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
            raise ExposedFileError(file=str(self.run))
        return path

    def resolve(self, path: str) -> Path:
        """A path of the settings: absolute as it is, relative from the data folder."""
        return self.path / Path(path).expanduser()

    def create(self) -> None:
        """Create the folders of the house, each readable by its owner only.

        Raises: ExposedFileError: see :meth:`create_run`. OSError: no right to write here, disk full.
        """
        for folder in (self.path, self.kms, self.sites, self.witness, self.backup, self.tls, self.logs):
            make_private_folder(folder)
        self.create_run()

    def create_run(self) -> Path:
        """Create the folder of the sockets and check that it is ours alone.

        Raises: ExposedFileError: somebody else made it first (in a temporary folder anyone can), or it is a link.
        """
        folder = self.run
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise ExposedFileError(file=str(folder))
        folder.chmod(0o700)
        return folder
