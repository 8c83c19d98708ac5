"""Addresses of the REST face, below /api/v1/."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from api import (
    disputes,
    editors,
    guards,
    jobs,
    ledger,
    me,
    missing,
    protection,
    registry,
    unlocks,
    verification,
)

app_name = "api"
VERSION = "models/<slug:name>/versions/<int:number>"
GUARD = "guards/<uuid:guard_id>"

urlpatterns = [
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("me", me.Me.as_view(), name="me"),
    path("models", registry.Models.as_view(), name="models"),
    path("models/<slug:name>", registry.ModelDetail.as_view(), name="model"),
    path("models/<slug:name>/versions", registry.Versions.as_view(), name="versions"),
    path(VERSION, registry.VersionDetail.as_view(), name="version"),
    path(f"{VERSION}/files/<str:file>", registry.VersionFile.as_view(), name="file"),
    path(f"{VERSION}/publish", registry.VersionPublish.as_view(), name="publish"),
    path(f"{VERSION}/commitments", registry.Commitments.as_view(), name="commitments"),
    path("models/<slug:name>/aliases", registry.Aliases.as_view(), name="aliases"),
    path("models/<slug:name>/aliases/<slug:alias>", registry.AliasDetail.as_view(), name="alias"),
    path("key-locks", protection.KeyLocks.as_view(), name="key-locks"),
    path("prompt-locks", protection.PromptLocks.as_view(), name="prompt-locks"),
    path("editors", editors.Editors.as_view(), name="editors"),
    path("editors/files/<str:name>", editors.EditorUpload.as_view(), name="editor-upload"),
    path("editors/<uuid:editor_id>", editors.EditorDetail.as_view(), name="editor"),
    path("editors/<uuid:editor_id>/file", editors.EditorFile.as_view(), name="editor-file"),
    path("protections", protection.Protections.as_view(), name="protections"),
    path(
        "protections/<uuid:protection_id>",
        protection.ProtectionDetail.as_view(),
        name="protection",
    ),
    path(
        "protections/<uuid:protection_id>/attacks",
        protection.ProtectionAttacks.as_view(),
        name="protection-attacks",
    ),
    path(
        "protections/<uuid:protection_id>/unlocks",
        unlocks.ProtectionUnlocks.as_view(),
        name="protection-unlocks",
    ),
    path("guards", guards.Guards.as_view(), name="guards"),
    path(f"{GUARD}/rotation", guards.GuardRotation.as_view(), name="guard-rotation"),
    path(f"{GUARD}/configuration", guards.GuardConfiguration.as_view(), name="guard-configuration"),
    path(f"{GUARD}/clients", guards.GuardClients.as_view(), name="guard-clients"),
    path(
        f"{GUARD}/clients/<uuid:client_id>/end",
        guards.GuardClientEnd.as_view(),
        name="guard-client-end",
    ),
    path("unlocks/<uuid:unlock_id>", unlocks.UnlockDetail.as_view(), name="unlock"),
    path("jobs", jobs.Jobs.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>", jobs.JobDetail.as_view(), name="job"),
    path("jobs/<uuid:job_id>/cancel", jobs.JobCancel.as_view(), name="job-cancel"),
    path("suspects", verification.Suspects.as_view(), name="suspects"),
    path("suspects/files/<str:name>", verification.SuspectFile.as_view(), name="suspect-file"),
    path("runs", verification.Runs.as_view(), name="runs"),
    path("runs/<uuid:run_id>", verification.RunDetail.as_view(), name="run"),
    path("runs/<uuid:run_id>/bundle", verification.RunBundle.as_view(), name="run-bundle"),
    path("certificates", ledger.Certificates.as_view(), name="certificates"),
    path(
        "certificates/<uuid:certificate_id>",
        ledger.CertificateDetail.as_view(),
        name="certificate",
    ),
    path(
        "certificates/<uuid:certificate_id>/body",
        ledger.CertificateBody.as_view(),
        name="certificate-body",
    ),
    path(
        "certificates/<uuid:certificate_id>/proof",
        ledger.CertificateProof.as_view(),
        name="certificate-proof",
    ),
    path("ledger/checkpoint", ledger.LatestCheckpoint.as_view(), name="checkpoint"),
    path("ledger/consistency", ledger.Consistency.as_view(), name="consistency"),
    path("ledger/entries", ledger.Entries.as_view(), name="entries"),
    path("ledger/entries/<int:index>/proof", ledger.EntryProof.as_view(), name="entry-proof"),
    path("ledger/inclusion", ledger.Inclusion.as_view(), name="inclusion"),
    path("ledger/trust", ledger.TrustFile.as_view(), name="trust"),
    path("cases", disputes.Cases.as_view(), name="cases"),
    path("cases/<uuid:case_id>", disputes.CaseDetail.as_view(), name="case"),
    path("cases/<uuid:case_id>/runs", disputes.CaseRuns.as_view(), name="case-runs"),
    path("cases/<uuid:case_id>/reports", disputes.CaseReports.as_view(), name="case-reports"),
    path("reports/<uuid:report_id>", disputes.ReportDetail.as_view(), name="report"),
    path("reports/<uuid:report_id>/<slug:part>", disputes.ReportPart.as_view(), name="report-part"),
    re_path("", missing.Missing.as_view(), name="missing"),
]
