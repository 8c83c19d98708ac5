"""The report job."""

from disputes.models import Report
from disputes.services import report_finish
from tasks.work import Work


def run(work: Work) -> None:
    """Write the report as PDF, HTML and evidence zip."""
    from disputes.report import build_report

    report = Report.objects.select_related("case__organisation").get(job=work.job)
    files = build_report(report, work.progress)
    work.check()
    report_finish(
        report=report, job=work.job, pdf=files.pdf, html=files.html, evidence=files.evidence
    )
