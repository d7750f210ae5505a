"""What crosses the wire about identities: our access tokens, and what issuers say about a person.

Our claims: RFC 9068 (at+jwt), RFC 9449 (`cnf.jkt`), IHE IUA (`extensions.ihe_iua`). A token never holds an INS or a
patient's name: the patient is the record-id. Issuers' answers are read tolerantly (unknown members ignored, empty
strings as absent): they are other people's formats, and what we need of them is checked where it is used.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sceau_schemas.dossier import Id

ActorKindName = Literal["software", "insurer", "professional", "patient", "representative", "operations"]

Seconds = Annotated[int, Field(gt=0, lt=1 << 40)]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]
TokenId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22}$")]
Thumbprint = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
IdentifierText = Annotated[str, Field(pattern=r"^[^\s|]{1,200}\|[^\s|]{1,200}$")]  # system|value


class _Issued(BaseModel):
    """Base of what we sign: exact both ways."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Coding(_Issued):
    """A FHIR Coding, in IUA claims."""

    system: ShortText
    code: ShortText


class Confirmation(_Issued):
    """The key that the token is bound to (RFC 9449, section 6)."""

    jkt: Thumbprint


class Software(_Issued):
    """The user's software, as its signed `actor_token` names it (CI-SIS: lps_nom, lps_id, lps_version)."""

    nom: ShortText | None = None
    id: ShortText | None = None
    version: ShortText | None = None


class ActingParty(_Issued):
    """Who acts for the subject (RFC 8693, `act`)."""

    client: ShortText
    lps: Software | None = None


class IheIua(_Issued):
    """IHE IUA claims. `subject_name`: of a professional or a software, never of a patient."""

    subject_name: ShortText | None = None
    subject_organization: ShortText | None = None
    subject_organization_id: IdentifierText | None = None
    subject_role: tuple[Coding, ...] = ()
    purpose_of_use: tuple[Coding, ...] = ()
    national_provider_identifier: IdentifierText | None = None
    person_id: Id | None = None  # the record-id of the one patient


EventId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]


class EmergencyClaims(_Issued):
    """How a professional entered in an emergency. `event`: the audit event of the declaration; `until`: its end."""

    mode: Literal["bris_de_glace", "centre_15"]
    event: EventId
    until: Seconds
    reason_given: bool = False
    unable_to_consent: bool = False
    immediate_risk: bool = False


ShortCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


class SceauClaims(_Issued):
    """What IUA has no claim for: the kind of actor, all structures that a client works for, and what access asks of a
    professional's practice (sectors TRE_R02, specialties TRE_R38, role TRE_R85, whether they regulate at a centre 15).

    `secret`: a minor's connexion secrète. `emergency`: absent in the normal mode.
    """

    kind: ActorKindName
    structures: tuple[IdentifierText, ...] = ()
    sectors: tuple[ShortCode, ...] = ()
    specialties: tuple[ShortCode, ...] = ()
    role: ShortCode | None = None
    regulates: bool = False
    secret: bool = False
    emergency: EmergencyClaims | None = None


class Extensions(_Issued):
    """Claims by the names of their owners."""

    ihe_iua: IheIua
    sceau: SceauClaims


class AccessTokenClaims(_Issued):
    """The claims of our access token."""

    iss: ShortText
    sub: ShortText
    aud: ShortText
    client_id: ShortText
    exp: Seconds
    iat: Seconds
    jti: TokenId
    scope: Annotated[str, Field(min_length=1, max_length=2000)]
    cnf: Confirmation
    acr: ShortText | None = None
    auth_time: Seconds | None = None
    act: ActingParty
    extensions: Extensions


def _empty_as_absent(value: Any) -> Any:
    return None if value == "" else value


Given = Annotated[Annotated[str, Field(max_length=500)] | None, BeforeValidator(_empty_as_absent)]
"""A text that an issuer may leave out, leave empty, or set to null."""


class _Received(BaseModel):
    """Base of what issuers tell us."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class OtherId(_Received):
    """An identifier of a professional, with the register it comes from."""

    identifiant: Given = None
    origine: Given = None


class Activity(_Received):
    """Where a professional practises (UserInfo of Pro Santé Connect)."""

    numeroFinessSite: Given = None  # noqa: N815 - the issuer's name
    numeroSiretSite: Given = None  # noqa: N815
    numeroSirenSite: Given = None  # noqa: N815
    identifiantTechniqueDeLaStructure: Given = None  # noqa: N815
    raisonSocialeSite: Given = None  # noqa: N815
    codeSecteurDactivite: Given = None  # noqa: N815
    codeRole: Given = None  # noqa: N815


class Exercice(_Received):
    """One profession that the person practises, and where."""

    codeProfession: Given = None  # noqa: N815
    codeCategorieProfessionnelle: Given = None  # noqa: N815
    nomDexercice: Given = None  # noqa: N815
    prenomDexercice: Given = None  # noqa: N815
    codeSavoirFaire: Given = None  # noqa: N815
    activities: Annotated[tuple[Activity, ...], Field(max_length=100)] = ()


class ProfessionalRegister(_Received):
    """What the national register says about the professional."""

    exercices: Annotated[tuple[Exercice, ...], Field(max_length=50)] = ()


class UserInfo(_Received):
    """UserInfo of Pro Santé Connect. Without `SubjectRefPro` the person is not a professional."""

    sub: ShortText
    SubjectNameID: Given = None
    otherIds: Annotated[tuple[OtherId, ...], Field(max_length=20)] = ()  # noqa: N815
    Acces_Regulation_Medicale: Given = None
    SubjectRefPro: ProfessionalRegister | None = None


class PatientIdentity(_Received):
    """What a patient issuer signs: the INS, and the identity traits that go with it.

    The INS alone names the record; a token without the traits is refused, since an INS without them is not qualified
    (référentiel national d'identitovigilance).
    """

    ins: Annotated[str, Field(max_length=200)]  # system|value
    represents: Annotated[str, Field(max_length=200)] | None = None  # INS of the minor whose legal representative it is
    family_name: ShortText
    given_name: ShortText
    birthdate: Annotated[str, Field(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")]
    gender: Literal["female", "male", "other", "unknown"]
    birthplace: Annotated[str, Field(pattern=r"^[0-9][0-9AB][0-9]{3}$")]  # INSEE code (COG)
