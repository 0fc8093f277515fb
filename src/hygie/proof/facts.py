"""The facts that checks judge: what each probe brings back. Names, sizes, codes, instants; no health data, no key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hygie.availability.clients import ClientMinutes
from hygie.availability.minutes import Tally
from hygie.base.hardening import Proof, Swap
from hygie.hardening.model import MachineFacts
from hygie.patching.model import PatchFacts
from hygie.proof.flows.model import ApartFacts, MatrixFacts, ZoneFacts
from hygie.proof.model import Observed


@dataclass(frozen=True, slots=True)
class Area:
    """One place of the disk. error: why it could not be read, or nothing."""

    name: str
    files: int = 0
    bytes_read: int = 0
    bytes_total: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """Plaintext seen in a file. mark: the name of what was recognised, never the text itself."""

    area: str
    file: str
    mark: str


@dataclass(frozen=True, slots=True)
class DiskScan:
    """What a reader of the raw files sees. control: the scanner recognised its own planted sample."""

    areas: tuple[Area, ...]
    found: tuple[Hit, ...]
    control: bool


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """Handshakes tried on the served port.

    offers: name of a weak offer → ``refused``, ``accepted`` or ``unclear``; trusted: the chain and the name hold for a
    client (``own``: made by Hygie, checked against its own authority).
    """

    address: str
    version: str
    cipher: str
    forward_secret: bool
    trusted: bool
    own: bool
    ends_ms: int
    offers: dict[str, str]


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process of this installation, as the system shows it.

    core_limit: bytes, -1 for no limit, None when not shown; traceable: by another process of its account.
    """

    name: str
    pid: int
    uid: int
    core_limit: int | None
    traceable: Proof
    no_new_privileges: bool


@dataclass(frozen=True, slots=True)
class ProcessesFacts:
    """Every process found, the names that were expected, and whether core files go to a program's pipe."""

    processes: tuple[ProcessFacts, ...]
    expected: tuple[str, ...]
    cores_piped: bool

    @property
    def absent(self) -> list[str]:
        """Expected processes that do not run."""
        names = {one.name for one in self.processes}
        return [name for name in self.expected if name not in names]


@dataclass(frozen=True, slots=True)
class FlowFacts:
    """TCP ports that processes of this installation listen on: (process, address, port).

    unreadable: processes that nobody but root may look into; unnamed: (address, port) of what their accounts listen on
    and no other process is known to hold, theirs among them.
    """

    listening: tuple[tuple[str, str, int], ...]
    unreadable: tuple[str, ...]
    unnamed: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file or folder that must be private. kind: ``key`` or ``place``; exposed: others may open it."""

    path: str
    kind: Literal["key", "place"]
    mode: int
    exposed: bool


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What the KMS says of itself.

    beside: where the passphrase of an unattended start lies: ``inside`` the data folder, on the ``same-device``,
    ``elsewhere``, ``systemd`` or ``typed`` (no file).
    """

    driver: str
    exportable: bool
    sealing: str
    unwraps_recorded: bool
    sealed: bool
    root_at_ms: int
    environments: int
    oldest_key_at_ms: int
    oldest_epoch_at_ms: int
    beside: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing an environment's role tried. outcome: ``refused``, ``allowed``, or an SQLSTATE."""

    role: str
    target: str
    outcome: str


@dataclass(frozen=True, slots=True)
class SegmentationFacts:
    """Attempts of each environment's role: on itself (the control), on the others, on administration."""

    environments: int
    controls: tuple[Attempt, ...]
    across: tuple[Attempt, ...]
    administration: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class DoorFacts:
    """Requests without any right, over HTTPS. agent: the mark they carried; asked: refusals provoked.

    Statuses, None when there was nothing to try: without a token, with an unknown one, then with the probe's token (no
    habilitation) at its own environment, at another one, at one that exists nowhere.
    same_answer: what exists and what does not are answered alike, byte for byte; french: who asks in French is refused
    in French; untranslated: codes of errors a client may meet that have no French sentence of their own.
    """

    agent: str
    asked: int
    sent_at_ms: int
    without_token: int
    unknown_token: int
    own: int | None
    other: int | None
    absent: int | None
    same_answer: bool
    french: bool = False
    untranslated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What a client of the door gets now for what is public. status: 0 when nobody answers whom it can trust."""

    status: int
    ms: float


@dataclass(frozen=True, slots=True)
class FreshFacts:
    """What became of the probe's refusals in the published journal, and how long it took."""

    asked: int
    found: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """What waits (up to 100,001) and since when, what is indexed, what is published.

    sites: size of the head that each one shows; -1: signed by nobody, or not of this tree; None: no answer.
    """

    pending: int
    oldest_pending_ms: int | None
    indexed: int
    published: int
    sites: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class WitnessFacts:
    """The witness: where it runs (``here``, ``elsewhere``, ``none``), how far it has cosigned, if of our tree."""

    where: str
    published: int
    cosigned: int | None
    agrees: bool


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """The published tree, read again in parts: earlier signed heads, bundles of entries, rows of the database.

    rows: None when there are too many for one look; broken: the code of what is wrong, or nothing.
    """

    size: int
    checkpoints: int
    bundles: int
    rows: int | None
    broken: str


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """The kernel's word on its clock, and the largest error it admits."""

    disciplined: Proof
    max_error_ms: float


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """The backup target. locked: nobody can delete, its administrator included; same_disk: as the data folder."""

    snapshots: int
    locked: bool
    administrator: str
    same_disk: bool


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """One site, where it is declared to be, what it would fall with, and whether it took a durable write now."""

    name: str
    country: str
    city: str
    domain: str
    error: str


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """Rows of accounts, tokens and habilitations, as administration lists them; roles that may log in the database.

    A habilitation has the names of its ``tenant`` and ``place`` (environment) beside its environment's id. exceptions:
    records opened outside a scope and rights raised in an emergency: ``kind``, ``id``, ``account``, ``at_ms``,
    ``answered`` (somebody else reviewed or answered for it). reviews: decisions on rights: ``habilitation``,
    ``account``, ``at_ms``; campaigns: ``name``, ``due_ms``, ``waiting`` (rights that live without a decision).
    authenticators: live ones that Hygie wrote: ``account``, ``kind``. An account is ``numbered`` when it has the
    number of a professional, which an identity provider may vouch for.
    """

    accounts: tuple[dict[str, Any], ...]
    tokens: tuple[dict[str, Any], ...]
    habilitations: tuple[dict[str, Any], ...]
    login_roles: tuple[str, ...] = ()
    exceptions: tuple[dict[str, Any], ...] = ()
    reviews: tuple[dict[str, Any], ...] = ()
    campaigns: tuple[dict[str, Any], ...] = ()
    authenticators: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class RightsFacts:
    """Live rows that give rights: how many, those without their MAC (names, at most 20), and what ``hygie work`` found
    when it compared them with the journal. compared_at_ms: None when it never did; foreign: how many leaves of the
    journal are no entry, the last one at index ``foreign_at``, put there after an entry of ``foreign_ms``."""

    live: int
    forged: tuple[str, ...]
    compared_at_ms: int | None
    complete: bool
    wrong: tuple[str, ...]
    foreign: int = 0
    foreign_at: int = 0
    foreign_ms: int = 0


@dataclass(frozen=True, slots=True)
class UnwrapFacts:
    """The key record and what the journal anchored of it. lines: now; anchored_lines, anchored_at_ms: the last time;
    follows: the record goes through that head; cut: anchors that it does not go through, the first at cut_at_ms."""

    lines: int
    anchored_lines: int | None
    anchored_at_ms: int | None
    follows: bool
    cut: int
    cut_at_ms: int | None


@dataclass(frozen=True, slots=True)
class LogFacts:
    """One log of the proof plane. head: its last number now; named: the last one that the journal was heard to name;
    published: the last one that the sites have; waits_ms: how long the oldest unpublished write has waited; declared:
    how many numbers were found lost, not to be given again; fault: numbers that lack or differ, as last compared."""

    log: str
    head: int
    named: int
    published: int
    waits_ms: int
    declared: int
    fault: str


@dataclass(frozen=True, slots=True)
class LogsFacts:
    """Registers and evidence, held to the published journal. compared_at_ms: None when they never were."""

    logs: tuple[LogFacts, ...]
    compared_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Measurement:
    """The newest run of one kind that a loop or a drill recorded. good_at_ms: of the newest that passed, None: none."""

    at_ms: int
    passed: bool
    facts: dict[str, Any]
    good_at_ms: int | None


Measurements = dict[str, Measurement]


@dataclass(frozen=True, slots=True)
class AvailabilityFacts:
    """One client's minutes as they are kept, from the year before on, and the count of its last thirty days."""

    client: ClientMinutes
    month: Tally


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """Something that holds data, or serves it, on this machine.

    name: ``site:paris``, ``database:hygie``, ``backup``, ``kms``, ``logs``, ``process:serve``, ``port:8443``,
    ``folder:/srv/old``; kind: the word before the colon; health: it holds health data, sealed or not.
    """

    name: str
    kind: str
    where: str
    health: bool


@dataclass(frozen=True, slots=True)
class StoresFacts:
    """Every store found.

    looked: mounted file systems looked into; whole: within the bounds of the scan; closed: folders that this account
    may not open.
    """

    stores: tuple[StoreFacts, ...]
    looked: int
    whole: bool
    closed: int


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """An environment of a client, as administration made it. created_ms: when."""

    tenant: str
    environment: str
    kind: str
    state: str
    created_ms: int = 0


@dataclass(frozen=True, slots=True)
class ErasureFacts:
    """An erasure that was carried out. tenant: of its environment."""

    id: str
    tenant: str
    requested_ms: int


@dataclass(frozen=True, slots=True)
class DrillFacts:
    """A drill that the platform measured. kind: ``restore``…; seconds, None when it was not reached."""

    id: str
    kind: str
    at_ms: int
    passed: bool
    rto_s: float | None
    rpo_s: float | None


@dataclass(frozen=True, slots=True)
class ActFacts:
    """An act of administration that the journal holds. account: who acted; tenant: the client it is about, if one;
    disclosed: of an export of entries: ``yes`` when they are readable in it, ``patient`` when one patient's are."""

    action: str
    at_ms: int
    account: str
    outcome: str
    tenant: str = ""
    disclosed: str = ""


@dataclass(frozen=True, slots=True)
class ActsFacts:
    """Acts of administration by people since an instant; whole: the journal was read up to its published end, and every
    one is here; traces: exports of a client's entries, over a longer time."""

    acts: tuple[ActFacts, ...]
    since_ms: int
    whole: bool
    traces: tuple[ActFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class PageFacts:
    """A public page as it was last published in the data folder.

    kind: ``transfers`` or ``guarantees``; page, data: SHA-256 of its two files, nothing when it is not there; said: of
    what its data say, their date apart; journaled_ms: instant of the journal's entry that names the page, None when
    none does.
    """

    kind: str
    page: str
    data: str
    said: str
    journaled_ms: int | None


@dataclass(slots=True)
class Facts:
    """Everything one look brought back."""

    disk: Observed[DiskScan] = field(default_factory=Observed)
    tls: Observed[TlsFacts] = field(default_factory=Observed)
    swap: Observed[Swap] = field(default_factory=Observed)
    processes: Observed[ProcessesFacts] = field(default_factory=Observed)
    flows: Observed[FlowFacts] = field(default_factory=Observed)
    matrix: Observed[MatrixFacts] = field(default_factory=Observed)
    apart: Observed[ApartFacts] = field(default_factory=Observed)
    zones: Observed[ZoneFacts] = field(default_factory=Observed)
    machine: Observed[MachineFacts] = field(default_factory=Observed)
    files: Observed[tuple[FileFacts, ...]] = field(default_factory=Observed)
    keys: Observed[KeyFacts] = field(default_factory=Observed)
    segmentation: Observed[SegmentationFacts] = field(default_factory=Observed)
    door: Observed[DoorFacts] = field(default_factory=Observed)
    answer: Observed[AnswerFacts] = field(default_factory=Observed)
    fresh: Observed[FreshFacts] = field(default_factory=Observed)
    journal: Observed[JournalFacts] = field(default_factory=Observed)
    witness: Observed[WitnessFacts] = field(default_factory=Observed)
    history: Observed[HistoryFacts] = field(default_factory=Observed)
    clock: Observed[ClockFacts] = field(default_factory=Observed)
    target: Observed[TargetFacts] = field(default_factory=Observed)
    sites: Observed[tuple[SiteFacts, ...]] = field(default_factory=Observed)
    access: Observed[AccessFacts] = field(default_factory=Observed)
    rights: Observed[RightsFacts] = field(default_factory=Observed)
    unwraps: Observed[UnwrapFacts] = field(default_factory=Observed)
    logs: Observed[LogsFacts] = field(default_factory=Observed)
    patching: Observed[PatchFacts] = field(default_factory=Observed)
    measurements: Observed[Measurements] = field(default_factory=Observed)
    availability: Observed[tuple[AvailabilityFacts, ...]] = field(default_factory=Observed)
    stores: Observed[StoresFacts] = field(default_factory=Observed)
    places: Observed[tuple[PlaceFacts, ...]] = field(default_factory=Observed)
    erasures: Observed[tuple[ErasureFacts, ...]] = field(default_factory=Observed)
    drills: Observed[tuple[DrillFacts, ...]] = field(default_factory=Observed)
    acts: Observed[ActsFacts] = field(default_factory=Observed)
    pages: Observed[tuple[PageFacts, ...]] = field(default_factory=Observed)
    archives: Observed[frozenset[str]] = field(default_factory=Observed)  # SHA-256 of each file of evidence
