"""What an auditor asks for, and what answers it: controls of the plan, checks of the live stage, tests, or a person.

HDS v2 (arrêté of 26 April 2024), 31 requirements in our words, numbered as in its machine-readable copy of 2023: check
the wording against the final text. PGSSI-S by theme; GDPR article 32 by paragraph. Software shows what it can;
the rest has an owner, whom the stage names (`[stages.NAME.responsible]`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sceau_schemas.deployment import Responsibility

OWNERS: Final[dict[Responsibility, str]] = {
    "management": "Management",
    "security": "Security officer (RSSI)",
    "data-protection": "Data protection officer (DPO)",
    "legal": "Contracts and legal affairs",
    "operations": "Operations",
    "support": "First-line support",
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement, and what stands for it. `left`: what software does not show, and its owner must."""

    framework: Literal["HDS v2", "PGSSI-S", "GDPR"]
    number: str
    text: str
    controls: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    owner: Responsibility | None = None
    left: str = ""


def _hds(number: str, text: str, owner: Responsibility, left: str) -> Requirement:
    return Requirement("HDS v2", number, text, owner=owner, left=left)


_TRACES: Final = (
    "tests/contract/test_journal.py::test_an_event_is_locked_for_its_retention_and_can_not_be_deleted",
    "tests/contract/test_objects.py::test_a_locked_object_is_not_deleted_nor_replaced_nor_unlocked_earlier",
)
_RIGHTS: Final = (
    "tests/unit/test_rights_table.py::test_a_function_has_exactly_the_store_rights_of_its_row",
    "tests/unit/test_rights_table.py::test_a_function_has_exactly_the_key_rights_of_its_row",
)
_OPERATIONS: Final = ("tests/unit/test_rights_table.py::test_operations_hold_no_key_that_opens_health_data",)
_SEALED: Final = (
    "tests/journeys/test_secrets.py::test_everything_at_rest_is_sealed",
    "tests/security/test_https_stolen_files.py::test_nothing_in_the_store_can_be_read",
)
_FAULTS: Final = (
    "tests/unit/faults/test_every_act_with_every_fault.py::test_each_store_call_fails_in_turn",
    "tests/unit/faults/test_every_act_with_every_fault.py::test_the_process_dies_before_and_after_each_store_call",
)
_THREATS: Final = ("tests/unit/test_threats.py::test_every_test_and_control_that_the_page_names_is_there",)
_PLACE: Final = ("tests/unit/test_overlay.py::test_what_the_chalicefile_could_not_say_is_refused",)
BACKUP_CHECK: Final = "the backup verifies"
"""What `sceau backup verify --report` finds of a stage's own backup."""

_BACKUPS: Final = (
    "tests/journeys/test_loss_of_a_store.py"
    "::test_after_the_loss_of_the_whole_store_the_patient_finds_everything_and_the_log_verifies",
    "tests/contract/test_backup_stores.py::test_a_backup_is_made_gone_on_with_verified_and_restored_from",
    "tests/unit/records/test_backup.py::test_a_restored_stage_holds_the_same_objects_and_its_log_verifies",
    "tests/unit/records/test_backup.py::test_whatever_is_altered_missing_or_added_is_found_and_named",
)
_LOCKS: Final = ("locks refuse deletion and shortening",)

REQUIREMENTS: Final = (
    _hds(
        "01",
        "A certified ISO 27001 management system covers all hosting, contracts and sovereignty",
        "management",
        "the certificate and its scope",
    ),
    _hds(
        "02",
        "The protection of health data is among the organisation's issues",
        "security",
        "the management system's context",
    ),
    _hds(
        "03",
        "Data protection law is among the needs of interested parties",
        "data-protection",
        "the register of parties and needs",
    ),
    Requirement(
        "HDS v2",
        "04",
        "The management system's scope covers all processing, backups and moves of media",
        tests=("tests/iac/packaging/test_sbom.py::test_each_wheel_is_there_with_the_digest_that_the_lock_file_has",),
        owner="security",
        left="the scope; plan, manifest and bill of materials are its inventory for this service",
    ),
    Requirement(
        "HDS v2",
        "05",
        "Risks are analysed: media, flows, access control with traceability and imputability, misuse, failures",
        controls=(
            "write-once-audit",
            "no-public-access",
            "encryption",
            "least-privilege",
            "tls-floor",
            "key-rotation",
            "no-secret-in-plan",
            "image-by-digest",
        ),
        checks=(*_LOCKS, "create-once under a race"),
        tests=(*_THREATS, *_RIGHTS, *_SEALED, *_FAULTS),
        owner="security",
        left="the analysis of the whole organisation; docs/threats.md is that of this service",
    ),
    _hds("06", "Changes in subcontractors' measures are controlled", "security", "the follow-up of each subcontractor"),
    _hds(
        "07",
        "Interfaces and first-line support are in French",
        "support",
        "support in French; what patients read is in French, errors for software are in English",
    ),
    _hds(
        "08",
        "The statement of applicability is available in French",
        "security",
        "the statement; this report serves it",
    ),
    _hds("09", "Security objectives include health data and the GDPR", "security", "the objectives"),
    _hds("10", "Staff and subcontractors are made aware", "management", "training and its record"),
    _hds(
        "11",
        "A list of client contacts who can name an authorised health professional",
        "operations",
        "the list; `sceau clients list` tells the software that may call",
    ),
    _hds("12", "Clients get the HDS certificates, own and subcontractors'", "legal", "the certificates"),
    _hds("13", "Security responsibilities are split, planned and controlled", "security", "the table of who does what"),
    _hds("14", "A procedure for a subcontractor that loses its certification", "legal", "the procedure"),
    Requirement(
        "HDS v2",
        "15",
        "Clients can audit their resources and consult the traces of the host's staff",
        controls=("write-once-audit", "log-retention", "separate-trail-admin"),
        checks=_LOCKS,
        tests=_TRACES,
        owner="operations",
        left="handing out traces on demand, and the audit's summary",
    ),
    Requirement(
        "HDS v2",
        "16",
        "Internal audits cover the management system and operators' access traces",
        controls=("write-once-audit", "log-retention", "separate-trail-admin"),
        checks=_LOCKS,
        tests=_TRACES,
        owner="security",
        left="the audits themselves (docs/verifying.md says how the log is verified)",
    ),
    _hds("17", "Contract: scope and dates of the certificate", "legal", "the contract"),
    Requirement(
        "HDS v2",
        "18",
        "Contract: services and results: availability, integrity, confidentiality, auditability",
        controls=("deletion-protection",),
        tests=_FAULTS,
        owner="legal",
        left="the contract's levels",
    ),
    _hds(
        "19",
        "Contract: rights of data subjects, breach reports, audits",
        "data-protection",
        "the contract and procedures",
    ),
    _hds("20", "Contract: a client contact for incidents on health data", "operations", "the contact"),
    _hds("21", "Contract: quality indicators, their level, frequency and penalties", "legal", "the indicators"),
    _hds("22", "Contract: subcontractors with equal protection (GDPR 28.4)", "legal", "the contract"),
    Requirement(
        "HDS v2",
        "23",
        "Contract: how access to the data is framed",
        controls=("no-public-access", "least-privilege"),
        checks=("closed to the public",),
        tests=(*_OPERATIONS, "tests/security/test_https_token.py::test_operations_get_no_clinical_scope"),
        owner="legal",
        left="the contract's words",
    ),
    Requirement(
        "HDS v2",
        "24",
        "Contract: duties when the technique changes; the client agrees before a level drops",
        controls=("image-by-digest",),
        tests=("tests/unit/packaging/test_signing.py::test_a_package_that_was_tampered_with_is_found",),
        owner="legal",
        left="the contract, and the client's agreement",
    ),
    _hds("25", "Contract: cover for the host's default", "legal", "the contract"),
    _hds("26", "Contract: no other use of the data", "legal", "the contract"),
    Requirement(
        "HDS v2",
        "27",
        "Contract: reversibility: everything is given back in usable formats, copies are destroyed",
        controls=("deletion-protection",),
        checks=(BACKUP_CHECK,),
        tests=(*_BACKUPS, "tests/unit/records/test_backup.py::test_two_records_come_back_with_all_that_is_theirs"),
        owner="operations",
        left="giving back (a backup and the keys are all of it, in the formats of docs/formats) and destroying copies: "
        "locks outlive a contract",
    ),
    Requirement(
        "HDS v2",
        "28",
        "Data is stored in the EEA only, and the client knows where",
        controls=("french-soil",),
        checks=("on French soil",),
        tests=_PLACE,
        owner="legal",
        left="telling the client",
    ),
    Requirement(
        "HDS v2",
        "29",
        "Remote access from outside the EEA only with guarantees, told to the client",
        controls=("french-soil",),
        owner="security",
        left="where operators work from: no software of this service can know it",
    ),
    _hds(
        "30",
        "Third countries' laws that apply to the host, measures and remaining risks are in the contract",
        "legal",
        "the list; for AWS, the law of its parent company's country",
    ),
    Requirement(
        "HDS v2",
        "31",
        "A public, current map of transfers outside the EEA",
        controls=("french-soil",),
        owner="data-protection",
        left="publishing the map",
    ),
    Requirement(
        "PGSSI-S",
        "imputabilité",
        "Each act is imputed to a person, and its trace can't be altered",
        controls=("write-once-audit", "log-retention", "separate-trail-admin"),
        checks=_LOCKS,
        tests=(*_TRACES, *_FAULTS),
    ),
    Requirement(
        "PGSSI-S",
        "habilitations",
        "Rights follow role, structure and the patient's will; nobody holds more",
        controls=("least-privilege",),
        tests=(*_RIGHTS, "tests/journeys/test_access.py::test_without_a_grant_nobody_but_the_holder_reads"),
    ),
    Requirement(
        "PGSSI-S",
        "identification",
        "Professionals, software and patients are identified by national identities; nobody chooses their own",
        tests=(
            "tests/security/test_https_dev_issuer.py::test_a_stage_of_real_patients_has_none",
            "tests/security/test_https_resource.py::test_a_forged_token",
        ),
        owner="security",
        left="the registration of each client with its structure",
    ),
    Requirement(
        "GDPR",
        "32(1)(a)",
        "Pseudonymisation and encryption",
        controls=("encryption", "tls-floor", "key-rotation"),
        checks=("encryption at rest",),
        tests=(*_SEALED, "tests/journeys/test_secrets.py::test_no_address_that_we_made_names_a_patient"),
    ),
    Requirement(
        "GDPR",
        "32(1)(b)",
        "Lasting confidentiality, integrity, availability and resilience",
        controls=("write-once-audit", "no-public-access", "deletion-protection", "no-secret-in-plan"),
        checks=("create-once under a race", "compare-and-swap under a race", "clocks agree"),
        tests=_FAULTS,
    ),
    Requirement(
        "GDPR",
        "32(1)(c)",
        "Availability and access are restored after an incident",
        controls=("deletion-protection",),
        checks=("versions are kept", BACKUP_CHECK),
        tests=(
            *_BACKUPS,
            "tests/journeys/test_loss_of_a_store.py"
            "::test_a_sabotaged_record_is_as_it_was_before_and_the_patient_sees_who_did_it",
            "tests/contract/test_backup_stores.py::test_with_object_lock_nobody_takes_a_backup_away_before_its_time",
        ),
        owner="operations",
        left="restoring, practised on the stage's own backup, and how old the newest run may be",
    ),
    Requirement(
        "GDPR",
        "32(1)(d)",
        "Measures are tested regularly",
        tests=_THREATS,
        owner="security",
        left="when the live check, the smoke journey and this report are made again",
    ),
    Requirement(
        "GDPR",
        "32(4)",
        "Whoever acts under the controller's authority acts on its instructions",
        controls=("least-privilege",),
        tests=_OPERATIONS,
        owner="management",
        left="the instructions",
    ),
)
