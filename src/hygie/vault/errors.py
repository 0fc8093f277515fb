"""What the vault may answer instead of an object."""

from __future__ import annotations

from hygie.base.errors import (
    HygieError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)


class ObjectDeletedError(NotFoundError):
    """The current version of the object is a deletion."""

    code = "HYG-350"
    http_status = 410
    fr = "Cette ressource a été supprimée (version {version})."
    en = "This resource has been deleted (version {version})."


class CompartmentErasedError(NotFoundError):
    """The key of the patient's compartment was destroyed: nobody can read it any more."""

    code = "HYG-351"
    http_status = 410
    fr = "Ces données ont été effacées sur instruction du responsable de traitement."
    en = "These data were erased on the controller's instruction."


class VersionConflictError(HygieError):
    """If-Match named another version than the current one."""

    code = "HYG-150"
    http_status = 412
    exit_code = 10
    fr = "La version actuelle n'est pas celle attendue : relisez la ressource."
    en = "The current version is not the expected one: read the resource again."


class AmbiguousConditionError(HygieError):
    """A conditional write found several objects where at most one may match."""

    code = "HYG-151"
    http_status = 412
    exit_code = 10
    fr = "La condition désigne plusieurs ressources : précisez-la."
    en = "The condition matches several resources: make it more precise."


class UnresolvedConditionError(InvalidRequestError):
    """A conditional reference found no object."""

    code = "HYG-152"
    fr = "Une référence conditionnelle ne désigne aucune ressource."
    en = "A conditional reference matches no resource."


class ObjectTooLargeError(InvalidRequestError):
    """One object, or one request, is over its limit."""

    code = "HYG-153"
    http_status = 413
    fr = "La taille dépasse la limite de {limit_bytes} octets."
    en = "The size is over the limit of {limit_bytes} bytes."


class CursorError(InvalidRequestError):
    """A paging cursor was altered, or belongs to another search or environment."""

    code = "HYG-154"
    fr = "Ce curseur de page n'est pas valable : relancez la recherche."
    en = "This page cursor is not valid: start the search again."


class SearchTooBroadError(InvalidRequestError):
    """A sort, or an exact count, needs all its candidates, and there are too many."""

    code = "HYG-155"
    fr = "Cette recherche, à trier ou à compter, désigne plus de {limit} ressources : restreignez-la à un patient."
    en = "This search, to be sorted or counted, matches more than {limit} resources: narrow it to one patient."


class OutcomeUnknownError(UnavailableError):
    """A write was handed to the sites, and its end is not known: it may be stored, whole, or not at all."""

    code = "HYG-450"
    fr = "Issue inconnue : l'écriture a pu être faite, entière. Relisez avant de recommencer."
    en = "Outcome unknown: the write may have been done, whole. Read again before you retry."


class VaultBusyError(UnavailableError):
    """More writes wait than the vault accepts."""

    code = "HYG-451"
    fr = "Trop d'écritures attendent : réessayez dans un instant."
    en = "Too many writes are waiting: try again in a moment."


class QuotaError(RefusedError):
    """An environment holds as much as it may; ``limit``: bytes or versions."""

    code = "HYG-250"
    http_status = 507
    fr = "Quota de l'environnement atteint ({limit}) : votre interlocuteur chez l'hébergeur peut le relever."
    en = "The environment's quota is reached ({limit}): your contact at the host can raise it."


class PackFormatError(IntegrityError):
    """Bytes that should be a pack are not one."""

    code = "HYG-550"
    fr = "Un paquet n'a pas le format attendu ({part})."
    en = "A pack does not have the expected format ({part})."


class ObjectDamagedError(IntegrityError):
    """No site holds a copy of the object that opens."""

    code = "HYG-551"
    fr = "Aucun site ne détient de copie lisible de cet objet : l'exploitation est prévenue."
    en = "No site holds a readable copy of this object: operations are told."


class CatalogueNotEmptyError(InvalidRequestError):
    """A rebuild into a catalogue that holds objects would mix two histories."""

    code = "HYG-156"
    fr = "Le catalogue de cet environnement n'est pas vide : reconstruisez avec --discard, après une sauvegarde."
    en = "This environment's catalogue is not empty: rebuild with --discard, after a backup."


class IdentityRefusedError(InvalidRequestError):
    """A real identity outside production, or a made-up one in it."""

    code = "HYG-157"
    http_status = 422
    fr = "INS refusée ici (OID {oid}, environnement {kind}) : les vraies identités vont en production, elles seules."
    en = "INS refused here (OID {oid}, environment {kind}): real identities go to production, and only those."


class LedgerStaleError(IntegrityError):
    """A site's packs name patients whose key only a newer ledger holds."""

    code = "HYG-552"
    fr = (
        "Le site {site} n'a pas le dernier grand livre des clés : {count} dossiers ne s'ouvriraient plus. "
        "Prenez un autre site, remettez-le, ou acceptez la perte avec --partial."
    )
    en = (
        "The site {site} lacks the newest key ledger: {count} records would not open any more. "
        "Take another site, put that ledger back, or accept the loss with --partial."
    )


class RebuildIncompleteError(IntegrityError):
    """A rebuild that ended, but its site lacks something that the journal or the packs name."""

    code = "HYG-553"
    fr = (
        "Reconstruction incomplète : objets manquants {missing}, endommagés ou sans clé {damaged}, le premier :"
        " {name}. Un autre site les rend à hygie up, ou reconstruisez depuis lui avec --discard."
    )
    en = (
        "Rebuild incomplete: objects missing {missing}, damaged or without key {damaged}, the first one: {name}."
        " Another site gives them back once hygie up runs, or rebuild from it with --discard."
    )
