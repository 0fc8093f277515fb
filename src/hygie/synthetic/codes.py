"""The codes that synthetic patients carry: CIM-10, CCAM, LOINC with UCUM units, ATC. Labels in French."""

from __future__ import annotations

from typing import NamedTuple

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
CIM10 = "http://hl7.org/fhir/sid/icd-10"
CCAM = "http://hl7.org/fhir/sid/ccam"
ATC = "http://www.whocc.no/atc"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"


class Code(NamedTuple):
    """A code and its label."""

    code: str
    display: str


class Measure(NamedTuple):
    """What is measured: LOINC code and label, UCUM unit, plausible range, digits after the point."""

    code: str
    display: str
    unit: str
    low: float
    high: float
    digits: int


VITAL_SIGNS = (
    Measure("8867-4", "Fréquence cardiaque", "/min", 52, 112, 0),
    Measure("8310-5", "Température corporelle", "Cel", 36.1, 39.4, 1),
    Measure("29463-7", "Poids corporel", "kg", 47.0, 108.0, 2),
    Measure("59408-5", "Saturation en oxygène par oxymétrie de pouls", "%", 91, 100, 0),
)
BLOOD_PRESSURE = Code("85354-9", "Pression artérielle")
SYSTOLIC = Measure("8480-6", "Pression artérielle systolique", "mm[Hg]", 98, 172, 0)
DIASTOLIC = Measure("8462-4", "Pression artérielle diastolique", "mm[Hg]", 54, 104, 0)

BLOOD_COUNT = Code("58410-2", "Hémogramme")
BLOOD_COUNT_MEASURES = (
    Measure("718-7", "Hémoglobine", "g/dL", 9.1, 17.4, 1),
    Measure("6690-2", "Leucocytes", "10*3/uL", 3.1, 14.9, 2),
    Measure("777-3", "Plaquettes", "10*3/uL", 120, 430, 0),
)
CHEMISTRY = Code("24323-8", "Bilan biochimique")
CHEMISTRY_MEASURES = (
    Measure("2951-2", "Sodium", "mmol/L", 132, 147, 0),
    Measure("2823-3", "Potassium", "mmol/L", 3.2, 5.4, 2),
    Measure("14682-9", "Créatinine", "umol/L", 48, 160, 1),
    Measure("14749-6", "Glucose", "mmol/L", 3.6, 12.4, 2),
    Measure("14647-2", "Cholestérol", "mmol/L", 3.1, 7.8, 2),
    Measure("1988-5", "Protéine C réactive", "mg/L", 0.3, 96.0, 2),
)

CONDITIONS = (
    Code("I10", "Hypertension essentielle (primitive)"),
    Code("E11.9", "Diabète sucré de type 2, sans complication"),
    Code("J45.9", "Asthme, sans précision"),
    Code("E78.0", "Hypercholestérolémie essentielle"),
    Code("M54.5", "Lombalgie basse"),
    Code("N39.0", "Infection des voies urinaires, siège non précisé"),
    Code("F32.9", "Épisode dépressif, sans précision"),
    Code("J18.9", "Pneumopathie, sans précision"),
    Code("S52.5", "Fracture de l'extrémité inférieure du radius"),
)
PROCEDURES = (
    Code("DEQP003", "Électrocardiographie sur au moins 12 dérivations"),
    Code("ZBQK002", "Radiographie du thorax"),
    Code("HEQE002", "Endoscopie œso-gastro-duodénale"),
    Code("DZQM006", "Échographie-doppler transthoracique du cœur et des vaisseaux intrathoraciques"),
    Code("QEQK001", "Mammographie bilatérale"),
)
MEDICATIONS = (
    (Code("C09AA05", "Ramipril"), "1 comprimé le matin"),
    (Code("A10BA02", "Metformine"), "1 comprimé matin et soir au cours du repas"),
    (Code("C10AA05", "Atorvastatine"), "1 comprimé le soir"),
    (Code("R03AC02", "Salbutamol"), "2 bouffées en cas de gêne respiratoire"),
    (Code("N02BE01", "Paracétamol"), "1 g jusqu'à trois fois par jour si douleur"),
    (Code("J01CA04", "Amoxicilline"), "1 g trois fois par jour pendant 6 jours"),
)
VACCINES = (Code("J07BB02", "Vaccin antigrippal inactivé"), Code("J07BN01", "Vaccin à ARN contre la covid-19"))
ALLERGIES = (Code("J01CA04", "Amoxicilline"), Code("B01AC06", "Acide acétylsalicylique"), Code("V08AB", "Produit iodé"))
ENCOUNTER_CLASSES = (
    Code("AMB", "ambulatory"),
    Code("AMB", "ambulatory"),
    Code("EMER", "emergency"),
    Code("IMP", "inpatient encounter"),
)
