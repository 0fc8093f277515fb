"""Papers: PDF, XLSX, OSCAL, HTML for people and machines, each a pure function of ``Inputs``.

Importing the package fills ``model.PAPERS``; what makes PDF and XLSX is loaded when a paper is made.
"""

from hygie.proof.documents.model import PAPERS
from hygie.proof.documents.oscal_catalog import catalog_papers
from hygie.proof.documents.oscal_results import PLAN, RESULTS, assessment_plan, assessment_results
from hygie.proof.documents.pages import guarantees_paper, transfers_paper
from hygie.proof.documents.report import posture_report
from hygie.proof.documents.workbook import posture_workbook, statement_workbook

PAPERS.update(
    {
        "classeur.xlsx": posture_workbook,
        "declaration-applicabilite.xlsx": statement_workbook,
        "page-transferts.html": transfers_paper,
        "rapport.pdf": posture_report,
        "tableau-garanties.html": guarantees_paper,
        PLAN: assessment_plan,
        RESULTS: assessment_results,
        **catalog_papers(),
    }
)
