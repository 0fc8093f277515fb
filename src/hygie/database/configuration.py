"""The embedded server's configuration, as text. Pure.

Health data never reaches a log: statements, parameters and row values are kept out (errors of statements are not
logged at all, because their text may quote a value), and only ciphertext is stored anyway.
"""

from __future__ import annotations

MIB = 1024 * 1024
SHARED_BUFFERS_MIB_MIN = 128
SHARED_BUFFERS_MIB_MAX = 512  # the catalogue's hot part; above it, the system's page cache serves as well
PORT = 5432  # only names the socket file

HBA = """\
# Written by Hygie at each start.
# Only the unix socket, whose folder is private, and always a password.
local all all scram-sha-256
"""


_FIXED: dict[str, str | float] = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "max_connections": 100,
    "superuser_reserved_connections": 3,
    "password_encryption": "scram-sha-256",
    "wal_level": "replica",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": 0.9,
    # memory and plans, for a small machine with solid disks
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "wal_buffers": "16MB",
    "random_page_cost": 1.1,
    "effective_io_concurrency": 16,
    "jit": "off",  # its compile time exceeds every query of this house
    "max_parallel_workers_per_gather": 0,  # cores are shared with the hosting processes
    "max_worker_processes": 8,
    # vacuum early and often: the pending journal and the GIN index live from it
    "autovacuum": "on",
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": 0.05,
    "autovacuum_analyze_scale_factor": 0.02,
    "autovacuum_vacuum_insert_scale_factor": 0.1,
    "autovacuum_vacuum_cost_limit": 1000,
    # log: what the server did, never what it was asked
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",
    "log_file_mode": "0600",
    "log_rotation_age": "1d",
    "log_rotation_size": 0,
    "log_truncate_on_rotation": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %e %u@%d ",  # SQLSTATE, role and database, for the watch
    "log_min_messages": "log",  # LOG, FATAL, PANIC: an ERROR's text may quote a value
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_min_duration_statement": -1,
    "log_duration": "off",
    "log_error_verbosity": "terse",  # no DETAIL, no CONTEXT: they quote rows
    "log_parameter_max_length": 0,
    "log_parameter_max_length_on_error": 0,
    "log_lock_waits": "off",
    "log_temp_files": -1,
    "log_connections": "off",
    "log_disconnections": "off",
    # nothing but the core
    "shared_preload_libraries": "",
    "max_prepared_transactions": 0,
    "dynamic_shared_memory_type": "posix",
}


def postgresql_conf(*, run: str, logs: str, memory_bytes: int, wal_compression: str, durable: bool) -> str:
    """The text of ``postgresql.conf``.

    Args: run: folder of the socket; logs: folder of the server's log; memory_bytes: of the machine;
    wal_compression: ``lz4``, ``zstd`` or ``off``, what the programs were built with;
    durable: False only in tests, where the data are thrown away.
    """
    buffers_mib = max(SHARED_BUFFERS_MIB_MIN, min(SHARED_BUFFERS_MIB_MAX, memory_bytes // MIB // 16))
    on = "on" if durable else "off"
    settings = _FIXED | {
        "unix_socket_directories": run,
        "log_directory": logs,
        "fsync": on,
        "synchronous_commit": on,
        "full_page_writes": on,
        "wal_compression": wal_compression,
        "min_wal_size": "256MB" if durable else "80MB",
        "shared_buffers": f"{buffers_mib if durable else SHARED_BUFFERS_MIB_MIN}MB",
        "effective_cache_size": f"{max(256, memory_bytes // MIB // 2)}MB",
    }
    text = "".join(f"{name} = {_value(value)}\n" for name, value in settings.items())
    return "# Written by Hygie at each start; ALTER SYSTEM (postgresql.auto.conf) overrides it.\n" + text


def _value(value: str | float) -> str:
    """A configuration value; quotes doubled as the file's grammar wants."""
    return "'" + str(value).replace("'", "''") + "'"
