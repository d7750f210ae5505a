"""The rule and the source behind each reason, in one place: what `explain` says, and the table of `docs/rules.md`.

CSP = code de la santé publique. EX_… = requirements of the DMP's compatibility. [choice]: ours, where texts are silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sceau.access.model import Reason

NOT_FOUND: Final = "not found: denied"


@dataclass(frozen=True, slots=True)
class Article:
    """What a reason means, and where that stands."""

    text: str
    source: str


ARTICLES: Final[Mapping[Reason, Article]] = {
    Reason.ALLOWED_HOLDER: Article("the holder, about the own record", "CSP L. 1111-19"),
    Reason.ALLOWED_REPRESENTATIVE: Article(
        "a minor's legal representative, until the day of majority",
        "code civil 414; who represents, the patient issuer says",
    ),
    Reason.ALLOWED_GRANT: Article(
        "a member of a care team that the holder consented to once, by its structure", "CSP R. 1111-46; CE 490409"
    ),
    Reason.ALLOWED_CONSENT: Article(
        "a professional outside the team, for this consultation", "CSP R. 1111-46, L. 1111-17 II"
    ),
    Reason.ALLOWED_EXPRESS_CONSENT: Article(
        "an occupational or fire-brigade doctor, by express consent", "CSP L. 1111-17 IV, V"
    ),
    Reason.ALLOWED_MEDECIN_TRAITANT: Article(
        "the médecin traitant, masked documents included", "CSP L. 1111-16; EX_3.1-1030"
    ),
    Reason.ALLOWED_DELEGATION: Article("by the holder, the rights of the médecin traitant", "CSP L. 1111-16"),
    Reason.ALLOWED_BRIS_DE_GLACE: Article(
        "bris de glace: nobody who can consent, an immediate risk, no opposition", "CSP L. 1111-17 I"
    ),
    Reason.ALLOWED_CENTRE_15: Article("a doctor who regulates calls, no opposition", "CSP L. 1111-17 I"),
    Reason.ALLOWED_AUTHOR: Article("the author, about what they deposited", "CSP R. 1111-49; IG4DMP TD3.1b, TD3.3c"),
    Reason.ALLOWED_FEEDING: Article("feeding needs no authorisation", "IG4DMP TD0.2 NB2; CSP R. 1111-42, R. 1111-47"),
    Reason.ALLOWED_INSURER: Article(
        "the insurer opens and suspends records, and reports deaths", "CSP R. 1111-36, R. 1111-40"
    ),
    Reason.ALLOWED_STATUS: Article("whoever asks learns what may be done here, and why not", "IG4DMP TD0.2"),
    Reason.ALLOWED_COLLECTING: Article(
        "a professional records the holder's consent, for themselves or a colleague", "CSP L. 1111-17 II; EX_0.3-1010"
    ),
    Reason.ALLOWED_NAMED: Article("whom the holder's decision names", "CSP L. 1111-16, L. 1111-19"),
    Reason.ALLOWED_FIGURES: Article("operations see counts and ages of emergency accesses, never who", "[choice]"),
    Reason.ALLOWED_STRUCTURE: Article(
        "a structure reviews its own emergency accesses, and extracts its own professionals' traces",
        "CSP R. 1111-48 [choice]; HOM EX_AIR-120",
    ),
    Reason.DENIED_SCOPE: Article("the token's scope does not cover it", "SMART App Launch 2"),
    Reason.DENIED_ACTOR: Article(
        "this kind of caller never does this", "api.md; CSP L. 1111-18 (insurers read nothing)"
    ),
    Reason.DENIED_OTHER_RECORD: Article("a token names one record", "api.md"),
    Reason.DENIED_OTHER_STRUCTURE: Article("traces of another structure than one's own", "HOM EX_AIR-120"),
    Reason.DENIED_NO_RECORD: Article("nobody opened a record", "CSP R. 1111-40"),
    Reason.DENIED_CLOSED: Article("a closed record is read by nobody", "CSP L. 1111-18, R. 1111-36"),
    Reason.DENIED_SUSPENDED: Article("a suspended record is treated as a closed one", NOT_FOUND),
    Reason.DENIED_STATE: Article("the record is not in the state that this act starts from", "CSP R. 1111-36"),
    Reason.DENIED_MAJORITY: Article("the holder is of age", "code civil 414"),
    Reason.DENIED_MODE: Article(
        "an emergency mode reads (bris de glace also feeds), no more; a connexion secrète decides and changes nothing",
        "CSP L. 1111-17 I, L. 1111-5",
    ),
    Reason.DENIED_BLOCKED: Article(
        "the holder blocked this professional", "IG4DMP TD0.2 NB1; in an emergency: not found"
    ),
    Reason.DENIED_INSURANCE: Article("nobody reads for an insurer or a contract", "CSP L. 1111-18"),
    Reason.DENIED_PROFESSION: Article("the text names other professions", "CSP L. 1111-16, L. 1111-17"),
    Reason.DENIED_NOT_DECLARED: Article(
        "a reason, no ability to consent, an immediate risk: declared, and not long ago", "CSP L. 1111-17 I"
    ),
    Reason.DENIED_NOT_REGULATING: Article("no doctor who regulates calls", "CSP L. 1111-17 I"),
    Reason.DENIED_OPPOSED: Article("the holder opposed this access", "CSP L. 1111-17 I"),
    Reason.DENIED_NO_EXPRESS_CONSENT: Article("no express consent to this doctor", "CSP L. 1111-17 IV, V"),
    Reason.DENIED_NO_GRANT: Article(
        "no consent to this team or professional, in force now", "CSP R. 1111-46; CE 490409"
    ),
    Reason.DENIED_NOT_NAMED: Article("the holder's decision names somebody else", "CSP L. 1111-16"),
    Reason.DENIED_NOT_AUTHOR: Article("only the author does this", "IG4DMP TD2.1, TD3.3c; CSP R. 1111-51"),
    Reason.DENIED_MASKED: Article("masked to professionals", "CSP R. 1111-49; in an emergency: not found"),
    Reason.DENIED_DELETED: Article("deleted by its author", "IG4DMP TD3.3c"),
    Reason.DENIED_INVISIBLE: Article("awaits its announcement, for a month at most", "CSP R. 1111-53"),
    Reason.DENIED_REPRESENTATIVES: Article("kept from legal representatives", "CSP L. 1111-5, R. 1111-33"),
    Reason.DENIED_MATRIX: Article("the matrix denies the type to the profession", "arrêté of 26 October 2023"),
    Reason.DENIED_MATRIX_UNKNOWN: Article("no source says what the matrix has here", NOT_FOUND),
    Reason.DENIED_INSURER_TYPE: Article("REMB is the insurer's, and the insurer's only", "CSP R. 1111-42"),
    Reason.DENIED_PATIENT_TYPE: Article("no type that patients deposit", "CSP R. 1111-42"),
    Reason.DENIED_LABEL: Article("nobody hides their own document from themselves", "[choice]"),
    Reason.DENIED_LABELS_TOGETHER: Article("MASQUE_PS and INVISIBLE_PATIENT together", "EX_2.1-1050"),
    Reason.DENIED_NOT_MINOR: Article("only a minor's documents are kept from representatives", "EX_2.1-1050"),
    Reason.DENIED_SECRET: Article("a connexion secrète deposits with this label alone", "EX_2.1-1050"),
    Reason.DENIED_OPPOSED_ACT: Article("the care history tells of what a minor opposed", "CSP R. 1111-33"),
    Reason.DENIED_FALLEN_OUT: Article(
        "a care history covers 24 months, and each replaces the one before",
        "CSP R. 1111-42; secondary sources",
    ),
    Reason.DENIED_REHIDING: Article(
        "what was shown is not hidden again", "IG4DMP TD3.3b names it rendre visible [choice]"
    ),
}
