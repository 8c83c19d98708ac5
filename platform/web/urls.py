"""Addresses of the dashboard. What belongs to a model lies below its name."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from web import accounts, disputes, jobs, ledger, prompt_lock, protection, registry, verification

app_name = "web"
MODEL = "models/<slug:name>"
VERSION = f"{MODEL}/versions/<int:number>"
CERTIFICATE = "certificates/<uuid:certificate_id>"

urlpatterns = [
    path("", accounts.home, name="home"),
    path("login", accounts.Login.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("password", accounts.Password.as_view(), name="password"),
    path("organisation", accounts.organisation_switch, name="organisation"),
    path("members", accounts.members, name="members"),
    path("members/<int:member_id>/remove", accounts.member_out, name="member-remove"),
    path("tokens", accounts.tokens, name="tokens"),
    path("tokens/<uuid:token_id>/revoke", accounts.token_end, name="token-revoke"),
    path("models", registry.models, name="models"),
    path("new/model", registry.model_new, name="model-new"),
    path(MODEL, registry.model_page, name="model"),
    path(f"{MODEL}/edit", registry.model_edit, name="model-edit"),
    path(f"{MODEL}/aliases", registry.alias_move, name="alias-set"),
    path(f"{MODEL}/aliases/<slug:alias>/delete", registry.alias_remove, name="alias-delete"),
    path(f"{MODEL}/versions", registry.version_new, name="version-new"),
    path(VERSION, registry.version_page, name="version"),
    path(f"{VERSION}/files", registry.version_upload, name="upload"),
    path(f"{VERSION}/files/<str:file>", registry.version_file, name="file"),
    path(f"{VERSION}/publish", registry.version_freeze, name="publish"),
    path(f"{VERSION}/lock", protection.lock, name="lock"),
    path(f"{VERSION}/lock/samples", protection.lock_samples, name="lock-samples"),
    path(f"{VERSION}/lock/<uuid:commitment_id>", protection.lock_start, name="lock-start"),
    path(f"{VERSION}/prompt-lock", prompt_lock.prompt_lock, name="prompt-lock"),
    path(f"{VERSION}/prompt-lock/trials", prompt_lock.trials, name="prompt-lock-trials"),
    path("trials/<uuid:trial_id>", prompt_lock.trial_page, name="prompt-lock-trial"),
    path("trials/<uuid:trial_id>/sheet", prompt_lock.trial_sheet, name="prompt-lock-sheet"),
    path("protections/<uuid:protection_id>", protection.protection_page, name="protection"),
    path("jobs", jobs.jobs, name="jobs"),
    path("jobs/<uuid:job_id>", jobs.job_page, name="job"),
    path("jobs/<uuid:job_id>/progress", jobs.job_progress, name="job-progress"),
    path("jobs/<uuid:job_id>/cancel", jobs.job_stop, name="job-cancel"),
    path("suspects", verification.suspects, name="suspects"),
    path("suspects/files/<str:name>", verification.suspect_upload, name="suspect-upload"),
    path("new/suspect", verification.suspect_new, name="suspect-new"),
    path("runs", verification.runs, name="runs"),
    path("new/run", verification.run_new, name="run-new"),
    path("runs/<uuid:run_id>", verification.run_page, name="run"),
    path("runs/<uuid:run_id>/bundle", verification.run_bundle_file, name="run-bundle"),
    path("runs/<uuid:run_id>/transcript", verification.run_transcript, name="run-transcript"),
    path("certificates", ledger.certificates, name="certificates"),
    path(CERTIFICATE, ledger.certificate_page, name="certificate"),
    path(f"{CERTIFICATE}/body", ledger.certificate_body, name="certificate-body"),
    path(f"{CERTIFICATE}/proof", ledger.certificate_proof_file, name="certificate-proof"),
    path(f"{CERTIFICATE}/bundle", ledger.certificate_bundle_file, name="certificate-bundle"),
    path("ledger", ledger.ledger, name="ledger"),
    path("ledger/entries/<int:index>", ledger.entry_page, name="entry"),
    path("ledger/checkpoint", ledger.checkpoint_file, name="checkpoint"),
    path("ledger/trust", ledger.trust_file, name="trust"),
    path("cases", disputes.cases, name="cases"),
    path("new/case", disputes.case_new, name="case-new"),
    path("cases/<uuid:case_id>", disputes.case_page, name="case"),
    path("cases/<uuid:case_id>/runs", disputes.case_runs, name="case-runs"),
    path("cases/<uuid:case_id>/close", disputes.case_end, name="case-close"),
    path("cases/<uuid:case_id>/reports", disputes.report_new, name="report-new"),
    path("reports/<uuid:report_id>/<slug:part>", disputes.report_part, name="report-part"),
]
