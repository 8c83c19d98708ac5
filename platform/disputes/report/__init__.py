"""The report on a case: a PDF, a page, and the evidence in a zip."""

from disputes.report.build import ReportFiles, build_report

__all__ = ["ReportFiles", "build_report"]
