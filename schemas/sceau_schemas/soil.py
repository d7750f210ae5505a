"""French soil: where a stage may run and store. One dated table; everything that is not on it is refused.

It is asked three times: for the settings (host with region, and the store's region with its endpoint's host name), at
start (what the bucket itself answers), and by `sceau stage check`. An organisation's own servers are on no public list:
they are accepted by an explicit declaration of who owns them and where they stand (`premises` of a stage).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address
from typing import Final

AS_OF: Final = date(2026, 11, 23)
"""When the table was last compared with its sources. Hosts open and close regions: compare again at each release."""

OWN_REGION_PREFIX: Final = "fr-"
"""An own server's region is a name that its owner chose, and that begins so: a server that was never told where it is
answers `us-east-1`, and is refused for it."""

LOOPBACK: Final = "loopback"
"""The region of a `local` stage, and of a server on its loopback."""


@dataclass(frozen=True, slots=True)
class Place:
    """One region of one host, on French soil.

    `store_hosts`: host names of its S3 endpoints; a leading "*." stands for one label or several. `answers`: what its
    buckets say of where they are (GetBucketLocation), in lowercase.
    """

    host: str
    region: str
    where: str
    store_hosts: tuple[str, ...]
    answers: frozenset[str]
    source: str


def _place(host: str, region: str, where: str, store_hosts: tuple[str, ...], source: str) -> Place:
    return Place(host, region, where, store_hosts, frozenset({region}), source)


_OVHCLOUD = "OVHcloud, Object Storage endpoints by region (their answer to GetBucketLocation was never seen live)"
_OUTSCALE = "3DS Outscale, OOS regions (their answer to GetBucketLocation was never seen live)"

PLACES: Final = (
    _place(
        "scaleway",
        "fr-par",
        "Paris",
        ("s3.fr-par.scw.cloud",),
        "Scaleway, Object Storage FAQ of 2025-04-02; health data in Paris only: how-to of 2025-11-12",
    ),
    _place(
        "aws",
        "eu-west-3",
        "Paris",
        ("s3.eu-west-3.amazonaws.com", "s3.dualstack.eu-west-3.amazonaws.com", "*.s3.eu-west-3.vpce.amazonaws.com"),
        "AWS, HDS compliance page and S3 endpoints",
    ),
    _place("ovhcloud", "gra", "Gravelines", ("s3.gra.io.cloud.ovh.net",), _OVHCLOUD),
    _place("ovhcloud", "rbx", "Roubaix", ("s3.rbx.io.cloud.ovh.net",), _OVHCLOUD),
    _place("ovhcloud", "sbg", "Strasbourg", ("s3.sbg.io.cloud.ovh.net",), _OVHCLOUD),
    _place("ovhcloud", "eu-west-par", "Paris", ("s3.eu-west-par.io.cloud.ovh.net",), _OVHCLOUD),
    _place("outscale", "eu-west-2", "Paris", ("oos.eu-west-2.outscale.com",), _OUTSCALE),
    _place("outscale", "cloudgouv-eu-west-1", "Paris", ("oos.cloudgouv-eu-west-1.outscale.com",), _OUTSCALE),
)


def regions_of(host: str) -> tuple[str, ...]:
    """The regions of a host on French soil; none for a host that the table does not know."""
    return tuple(place.region for place in PLACES if place.host == host)


def the_list() -> str:
    """The whole table as a refusal names it."""
    hosts = list(dict.fromkeys(place.host for place in PLACES))
    named = "; ".join(f"{host} {', '.join(regions_of(host))}" for host in hosts)
    return f"{named}; own servers declared in premises (as of {AS_OF:%Y-%m-%d})"


def place_of(host: str, region: str) -> Place | None:
    """The place of a host's region, None when it is not on French soil."""
    return next((place for place in PLACES if (place.host, place.region) == (host, region)), None)


def place_of_store(host_name: str, region: str) -> Place | None:
    """The place of an S3 endpoint, by its host name and the region that requests are signed for; None for any other."""
    for place in PLACES:
        if place.region == region and any(_is_named(host_name, pattern) for pattern in place.store_hosts):
            return place
    return None


def answers_of_store(host_name: str, region: str) -> frozenset[str]:
    """What a bucket behind this endpoint must answer when it is asked where it is."""
    place = place_of_store(host_name, region)
    return place.answers if place is not None else frozenset({region})


def is_loopback(host_name: str) -> bool:
    """Whether a host name is this machine's own (`localhost`, 127.0.0.0/8, ::1)."""
    try:
        return host_name == "localhost" or ip_address(host_name).is_loopback
    except ValueError:
        return False


def is_public_host(host_name: str) -> bool:
    """Whether a name lies in a domain of a public host: nobody's own server does."""
    return any(host_name == domain or host_name.endswith(f".{domain}") for domain in _PUBLIC_DOMAINS)


_PUBLIC_DOMAINS: Final = (
    *("amazonaws.com", "amazonaws.com.cn", "aws.dev", "on.aws", "scw.cloud", "scaleway.com", "ovh.net", "ovh.com"),
    *("ovhcloud.com", "outscale.com", "googleapis.com", "windows.net", "azure.com", "cloudflarestorage.com"),
    *("backblazeb2.com", "wasabisys.com", "digitaloceanspaces.com", "linodeobjects.com", "aliyuncs.com"),
    *("oraclecloud.com", "cleverapps.io", "clever-cloud.com", "your-objectstorage.com", "exo.io", "ionoscloud.com"),
)


def _is_named(host_name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host_name.endswith(pattern[1:]) and len(host_name) > len(pattern) - 1
    return host_name == pattern
