"""Writing a report: one content, laid out as a PDF and as a page, and the evidence in a zip."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import typst
from django.conf import settings
from django.template.loader import render_to_string

from disputes.models import Report
from disputes.report.answers import lodged_files
from disputes.report.content import Content
from disputes.report.evidence import pack, run_evidence
from disputes.report.gather import gather
from disputes.standing import case_standings
from ledger.selectors import revocation_list, trust, witnessed_policy
from spellmark.certificates.trusted_root import trusted_root

PDF_TEMPLATE = Path(settings.ROOT) / "templates" / "reports" / "report.typ"
# For archives, and for readers who use a screen reader.
PDF_STANDARDS = ["a-2a", "ua-1"]


@dataclass(frozen=True)
class ReportFiles:
    """The report as a PDF and as one HTML page, and the evidence zip that holds both."""

    pdf: bytes
    html: bytes
    evidence: bytes


def build_report(report: Report, progress: Callable[[float, str], None]) -> ReportFiles:
    """Write the report on all runs of its case; the same record gives the same bytes.

    Raises EvidenceError for evidence that does not verify, NotYetLoggedError, StorageError.
    """
    runs = report.case.runs.select_related(
        "suspect",
        "job",
        "protection__source__model",
        "protection__result__model",
        "protection__commitment",
    ).order_by("created_at", "id")
    evidence = []
    for number, run in enumerate(runs, start=1):
        progress(0.7 * (number - 1) / len(runs), f"checking the evidence of run {number}")
        evidence.append(run_evidence(number, run))
    progress(0.7, "writing the report")
    content = gather(report, evidence)
    pdf, html = typeset(content, at=int(report.created_at.timestamp())), page(content)
    progress(0.9, "packing the evidence")
    files = {
        "README.txt": render_to_string("reports/README.txt", {"report": content}).encode(),
        "report.pdf": pdf,
        "report.html": html,
        "trust.json": trust().dumps(),
        "trusted_root.json": json.dumps(trusted_root(trust()), indent=2).encode(),
        "revocations.json": revocation_list(),
    }
    if policy := witnessed_policy():
        files["policy.txt"] = policy.dumps()
    for item in evidence:
        files |= item.files()
    files |= lodged_files(case_standings(report.case))
    return ReportFiles(pdf, html, pack(files, at=report.created_at))


def page(content: Content) -> bytes:
    """One HTML page that loads nothing from elsewhere."""
    return render_to_string("reports/report.html", {"report": content}).encode()


def typeset(content: Content, *, at: int) -> bytes:
    """The PDF, dated `at` (Unix seconds)."""
    data = json.dumps(asdict(content))
    try:
        # With the fonts that come with typst every machine writes the same bytes.
        return _compile(data, at, own_fonts_only=True, standards=PDF_STANDARDS)
    except typst.TypstError:
        # They lack the letters of some languages, and an archive may not hold an unknown letter:
        # such a report is set with the machine's fonts, as an ordinary PDF.
        return _compile(data, at, own_fonts_only=False, standards=[])


def _compile(data: str, at: int, *, own_fonts_only: bool, standards: list[str]) -> bytes:
    return typst.compile(
        PDF_TEMPLATE,
        sys_inputs={"report": data},
        ignore_system_fonts=own_fonts_only,
        pdf_standards=standards,
        timestamp=at,
    )
