"""The opened state of the file KMS: keys in memory, and the order of writes that keeps the files whole.

Source: docs/formats/kms.md v1, "Order of writes".  Memory changes only after the files did, so a write that fails
leaves the old state in force.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import msgspec

from hygie.base.clock import Clock
from hygie.keys.errors import KeyDestroyedError, KmsStateBrokenError, UnknownKeyError
from hygie.keys.hierarchy import Environment, new_epoch
from hygie.keys.kms import KEY_BYTES
from hygie.keys.sealing import Sealing
from hygie.keys.state import (
    ROOT_FILE,
    ROOT_MAGIC,
    TENANT_MAGIC,
    EnvironmentBody,
    EnvironmentRecord,
    RootBody,
    RootFile,
    StateFolder,
    TenantBody,
    TenantFile,
    TenantKey,
    decode,
    encode,
    environment_meaning,
    open_value,
    root_meaning,
    seal_value,
    tenant_file,
    tenant_meaning,
)


@dataclass(slots=True)
class Tenant:
    """A tenant's keys in memory."""

    tenant_id: bytes
    version: int
    body: TenantBody
    environments: dict[bytes, Environment]


class OpenState:
    """Root body and tenants, after the root was opened."""

    def __init__(self, folder: StateFolder, file: RootFile, root: bytes, clock: Clock) -> None:
        self.file = file
        self.body = open_value(file.body, RootBody, key=root, meaning=root_meaning(file), part=ROOT_FILE)
        self._folder = folder
        self._root = root
        self._clock = clock
        self._tenants: dict[bytes, Tenant] = {}
        for tenant_id in {key.tenant_id for key in self.body.tenants}:
            self.drop_old_tenant_keys(tenant_id)

    def tenant_ids(self) -> list[bytes]:
        """Every tenant, sorted."""
        return sorted({key.tenant_id for key in self.body.tenants})

    def write_root(self, body: RootBody, *, root: bytes | None = None, how: Sealing | None = None) -> None:
        """Replace the root file: another body, and another root key and sealing when given, in one rename."""
        root = self._root if root is None else root
        body.generation = self.body.generation + 1
        body.tenants.sort(key=lambda key: (key.tenant_id, key.version))
        file = msgspec.structs.replace(self.file, sealing=self.file.sealing if how is None else how)
        file.body = seal_value(body, key=root, meaning=root_meaning(file))
        self._folder.write(ROOT_FILE, encode(ROOT_MAGIC, file))
        self.file, self.body, self._root = file, body, root

    def tenant(self, tenant_id: bytes) -> Tenant:
        """A tenant's keys, read at first use.

        Raises: UnknownKeyError; KmsStateBrokenError: its file is missing, altered, or older than the root file.
        """
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = self._tenants[tenant_id] = self._read_tenant(tenant_id)
        return tenant

    def environment(self, tenant_id: bytes, environment_id: bytes) -> Environment:
        """An environment's keys.

        Raises: UnknownKeyError; KeyDestroyedError; KmsStateBrokenError.
        """
        tenant = self.tenant(tenant_id)
        opened = tenant.environments.get(environment_id)
        if opened is not None:
            return opened
        for record in tenant.body.environments:
            if record.environment_id == environment_id:
                if record.destroyed_at_ms is not None:
                    raise KeyDestroyedError(part="environment")
                opened = tenant.environments[environment_id] = self._open_environment(tenant_id, record)
                return opened
        raise UnknownKeyError(part="environment")

    def add_tenant(self, tenant_id: bytes) -> None:
        """Make a tenant's key and its empty file; the root file, last, is what makes it exist."""
        name = tenant_file(tenant_id)
        if (self._folder.folder / name).exists():  # of an unfinished creation, or of a root file put back: keep it
            self._folder.set_aside(name, f"orphan-{tenant_id.hex()}-{os.urandom(4).hex()}.kms")
        key = TenantKey(tenant_id, 1, os.urandom(KEY_BYTES), self._clock.now_ms())
        body = TenantBody([], [])
        self._put_tenant(tenant_id, key, body)
        self.write_root(msgspec.structs.replace(self.body, tenants=[*self.body.tenants, key]))

    def add_environment(self, tenant_id: bytes, environment_id: bytes) -> None:
        """Make an environment's key, its secret and its first epoch."""
        now = self._clock.now_ms()
        tenant = self.tenant(tenant_id)
        record = EnvironmentRecord(environment_id, os.urandom(KEY_BYTES), now, None, b"")
        body = EnvironmentBody(os.urandom(KEY_BYTES), [new_epoch(1, now)], 0)
        self.write_environment(tenant, Environment(tenant_id, record, body))

    def write_environment(self, tenant: Tenant, after: Environment, *, destroying: bool = False) -> None:
        """Put an environment's new body in its tenant's file; destroying: under a new tenant key."""
        meaning = environment_meaning(self.file.state_id, tenant.tenant_id, after.record.environment_id)
        record = msgspec.structs.replace(after.record)
        record.body = seal_value(after.body, key=record.key, meaning=meaning)
        after.record = record
        self.write_tenant(tenant, with_environment(tenant.body, record), destroying=destroying)
        tenant.environments[record.environment_id] = after

    def write_tenant(self, tenant: Tenant, body: TenantBody, *, destroying: bool = False) -> None:
        """Replace a tenant's file; destroying: under a new key, the old one then leaves the root file."""
        body.environments.sort(key=lambda record: record.environment_id)
        body.months.sort(key=lambda month: (month.kind, month.month))
        if destroying:
            self._replace_tenant_key(tenant, body)
            return
        self._put_tenant(tenant.tenant_id, self._tenant_key(tenant.tenant_id, tenant.version), body)
        tenant.body = body

    def drop_old_tenant_keys(self, tenant_id: bytes) -> None:
        """End a replacement of a tenant's key that a crash or a full disk cut: keep the key of the file alone."""
        if sum(key.tenant_id == tenant_id for key in self.body.tenants) > 1:
            version = self._read_file(tenant_id).key_version
            self._tenant_key(tenant_id, version)
            kept = [key for key in self.body.tenants if key.tenant_id != tenant_id or key.version == version]
            self.write_root(msgspec.structs.replace(self.body, tenants=kept))

    def _replace_tenant_key(self, tenant: Tenant, body: TenantBody) -> None:
        version = 1 + max(key.version for key in self.body.tenants if key.tenant_id == tenant.tenant_id)
        key = TenantKey(tenant.tenant_id, version, os.urandom(KEY_BYTES), self._clock.now_ms())
        self.write_root(msgspec.structs.replace(self.body, tenants=[*self.body.tenants, key]))
        self._put_tenant(tenant.tenant_id, key, body)
        tenant.version, tenant.body = version, body
        records = {record.environment_id: record for record in body.environments}
        for name, opened in list(tenant.environments.items()):
            if opened.record is not records.get(name):  # gone from the file, gone from memory, whatever comes next
                del tenant.environments[name]
        self.drop_old_tenant_keys(tenant.tenant_id)

    def _put_tenant(self, tenant_id: bytes, key: TenantKey, body: TenantBody) -> None:
        meaning = tenant_meaning(self.file.state_id, tenant_id, key.version)
        file = TenantFile(tenant_id, key.version, seal_value(body, key=key.key, meaning=meaning))
        self._folder.write(tenant_file(tenant_id), encode(TENANT_MAGIC, file))

    def _read_file(self, tenant_id: bytes) -> TenantFile:
        name = tenant_file(tenant_id)
        file = decode(TENANT_MAGIC, self._folder.read(name), TenantFile, name)
        if file.tenant_id != tenant_id:
            raise KmsStateBrokenError(part=name)
        return file

    def _read_tenant(self, tenant_id: bytes) -> Tenant:
        if all(key.tenant_id != tenant_id for key in self.body.tenants):
            raise UnknownKeyError(part="tenant")
        file = self._read_file(tenant_id)
        key = self._tenant_key(tenant_id, file.key_version)
        meaning = tenant_meaning(self.file.state_id, tenant_id, key.version)
        body = open_value(file.body, TenantBody, key=key.key, meaning=meaning, part=tenant_file(tenant_id))
        return Tenant(tenant_id, key.version, body, {})

    def _tenant_key(self, tenant_id: bytes, version: int) -> TenantKey:
        for key in self.body.tenants:
            if (key.tenant_id, key.version) == (tenant_id, version):
                return key
        raise KmsStateBrokenError(part=tenant_file(tenant_id))  # an older copy put back: its key was dropped

    def _open_environment(self, tenant_id: bytes, record: EnvironmentRecord) -> Environment:
        meaning = environment_meaning(self.file.state_id, tenant_id, record.environment_id)
        part = tenant_file(tenant_id)
        body = open_value(record.body, EnvironmentBody, key=record.key, meaning=meaning, part=part)
        if not body.epochs:
            raise KmsStateBrokenError(part=part)
        return Environment(tenant_id, record, body)


def with_environment(body: TenantBody, record: EnvironmentRecord) -> TenantBody:
    """A tenant's body with one environment added or replaced."""
    others = [kept for kept in body.environments if kept.environment_id != record.environment_id]
    return TenantBody([*others, record], list(body.months))
