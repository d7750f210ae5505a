"""CDA documents of the project's own making, about people who don't exist, for the journey, tests and benchmarks."""

from sceau.cli.samples.generate import KINDS, Kind, make_cda
from sceau.cli.samples.pdf import make_pdf
from sceau.cli.samples.people import AUTHORS, PATIENTS, STRUCTURES, Author, Patient, Structure

__all__ = [
    "AUTHORS",
    "KINDS",
    "PATIENTS",
    "STRUCTURES",
    "Author",
    "Kind",
    "Patient",
    "Structure",
    "make_cda",
    "make_pdf",
]
