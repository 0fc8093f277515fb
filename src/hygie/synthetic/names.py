"""Invented names and places. Family and street names are built from syllables so that they occur nowhere by chance."""

from __future__ import annotations

from random import Random

_HEADS = [
    "Vauq",
    "Drez",
    "Kerm",
    "Lubr",
    "Mazel",
    "Torc",
    "Brév",
    "Chant",
    "Fleur",
    "Gour",
    "Hamb",
    "Jarl",
    "Norm",
    "Pluv",
    "Quér",
    "Sarz",
    "Trém",
    "Vilg",
    "Zéph",
    "Ostr",
]
_HEARTS = ["eli", "ana", "obé", "uri", "ivo", "égo", "asti", "ourl"]
_TAILS = ["nac", "gnard", "tier", "bois", "vec", "zan", "court", "lhac", "dou", "rand"]

GIVEN_FEMALE = [
    "Jeanne",
    "Louise",
    "Camille",
    "Inès",
    "Zoé",
    "Léa",
    "Éléonore",
    "Maëlle",
    "Françoise",
    "Noémie",
    "Anaïs",
    "Chloé",
    "Héloïse",
    "Yasmine",
    "Solène",
]
GIVEN_MALE = (
    *("Jean", "Hugo", "Raphaël", "Adam", "Noé", "Léo", "Théo", "Maël", "François"),
    *("Jérôme", "Loïc", "Gaëtan", "Élie", "Mehdi", "Anatole"),
)
_STREETS = ("rue", "avenue", "place", "impasse", "chemin", "quai")

# (commune, postal code, department and commune by INSEE, as they stand in a NIR)
CITIES = (
    ("Rennes", "35000", "35238"),
    ("Lyon", "69003", "69383"),
    ("Lille", "59000", "59350"),
    ("Bordeaux", "33000", "33063"),
    ("Nancy", "54000", "54395"),
    ("Ajaccio", "20000", "2A004"),
    ("Bastia", "20200", "2B033"),
    ("Saint-Étienne", "42000", "42218"),
    ("Angers", "49000", "49007"),
    ("Clermont-Ferrand", "63000", "63113"),
)


def family_name(draw: Random) -> str:
    """A double-barrelled family name, one of 2.5 million."""
    return f"{_word(draw)}-{_word(draw)}"


def street(draw: Random) -> str:
    """A street and a number."""
    return f"{draw.randint(1, 199)} {draw.choice(_STREETS)} {_word(draw)}{_word(draw).lower()}"


def _word(draw: Random) -> str:
    return draw.choice(_HEADS) + draw.choice(_HEARTS) + draw.choice(_TAILS)
