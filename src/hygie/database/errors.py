"""What can go wrong with the database. Room digit 1."""

from __future__ import annotations

from hygie.base.errors import IntegrityError, SettingsError, UnavailableError


class DatabaseUnavailableError(UnavailableError):
    """The server is down, a lock or statement took too long, or every connection of the pool is taken."""

    code = "HYG-410"
    fr = "La base de données ne répond pas ({part}) : réessayez."
    en = "The database does not answer ({part}): try again."


class CommitUnknownError(UnavailableError):
    """The connection broke between COMMIT and its answer: the transaction is whole or absent."""

    code = "HYG-411"
    fr = "La base n'a pas répondu à la validation : l'écriture est entière ou absente, à vérifier avant de la refaire."
    en = "The database did not answer the commit: the write is whole or absent, check before doing it again."


class PostgresStartError(UnavailableError):
    """The embedded server did not start, or stopped while starting."""

    code = "HYG-412"
    fr = "PostgreSQL n'a pas démarré ({reason}) : voir {log}."
    en = "PostgreSQL did not start ({reason}): see {log}."


class MigrationChangedError(IntegrityError):
    """A migration already applied is no longer the same file."""

    code = "HYG-510"
    fr = "La migration {migration} a été modifiée après avoir été appliquée."
    en = "Migration {migration} was changed after it was applied."


class ServerTooOldError(SettingsError):
    """The server named by the DSN is older than the oldest one supported."""

    code = "HYG-610"
    fr = "Le serveur PostgreSQL est en version {found}, il faut au moins {needed}."
    en = "The PostgreSQL server is version {found}, at least {needed} is needed."


class PostgresFilesError(SettingsError):
    """The programs of PostgreSQL are missing, or are not those that made the data folder."""

    code = "HYG-611"
    fr = "Les programmes de PostgreSQL ne conviennent pas : {reason}."
    en = "The programs of PostgreSQL do not fit: {reason}."


class PostgresPlaceError(SettingsError):
    """A folder of the embedded server belongs to somebody else or cannot be reached by the server's account."""

    code = "HYG-612"
    fr = "Le dossier de PostgreSQL ne convient pas : {reason}."
    en = "The folder of PostgreSQL does not fit: {reason}."


class PostgresBusyError(SettingsError):
    """Another live server holds the data folder or the socket."""

    code = "HYG-613"
    fr = "Un autre serveur PostgreSQL tient déjà ce dossier ({reason})."
    en = "Another PostgreSQL server already holds this folder ({reason})."


class MigrationUnknownError(SettingsError):
    """The database was migrated by a newer Hygie, or a file of the middle of the series appeared later."""

    code = "HYG-614"
    fr = "La base contient la migration {migration}, inconnue de cette version d'Hygie ou dans un autre ordre."
    en = "The database holds migration {migration}, unknown to this version of Hygie or in another order."
