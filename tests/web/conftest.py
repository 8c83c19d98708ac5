"""Acme's world as the dashboard shows it: something behind every address."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import ApiToken, Membership, Organisation, User
from accounts.services import member_add, token_create, user_create
from disputes.models import Case, Report, Retest, Share
from disputes.rights import retest_request, share_create
from disputes.services import case_create, report_create
from protection.models import Editor, GuardClient, Protection, Trial, Unlock
from registry.models import Version
from registry.services import alias_set, version_create
from tests import factories
from verification.models import Reference, Run

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class World:
    """What acme has."""

    protection: Protection
    draft: Version
    trial: Trial
    editor: Editor
    unlock: Unlock
    client: GuardClient
    trigger: Protection
    feature: Protection
    run: Run
    reference: Reference
    case: Case
    share: Share
    token_of_share: str
    retest: Retest
    report: Report
    token: ApiToken
    member: Membership

    def arguments(self, name: str) -> dict[str, Any]:
        """What the address with this name needs to lead to something of acme's."""
        version = {"name": "robin", "number": 1}
        return {
            "model": {"name": "robin"},
            "model-edit": {"name": "robin"},
            "alias-set": {"name": "robin"},
            "alias-delete": {"name": "robin", "alias": "production"},
            "version-new": {"name": "robin"},
            "version": version,
            "signature": version,
            "upload": {"name": "robin", "number": self.draft.number},
            "file": {**version, "file": "model.safetensors"},
            "publish": {"name": "robin", "number": self.draft.number},
            "lock": version,
            "lock-samples": version,
            "prompt-lock": version,
            "prompt-lock-trials": version,
            "prompt-lock-trial": {"trial_id": self.trial.id},
            "prompt-lock-sheet": {"trial_id": self.trial.id},
            "guard": version,
            "guard-start": {**version, "commitment_id": self.client.guard.commitment_id},
            "guard-page": {"guard_id": self.client.guard_id},
            "guard-client-end": {"guard_id": self.client.guard_id, "client_id": self.client.id},
            "trigger": version,
            "trigger-start": {**version, "commitment_id": self.trigger.commitment_id},
            "trigger-page": {"protection_id": self.trigger.id},
            "false-claims": version,
            "feature": version,
            "feature-start": {**version, "commitment_id": self.feature.commitment_id},
            "feature-page": {"protection_id": self.feature.id},
            "editor-upload": {"name": "editor.safetensors"},
            "editor-file": {"editor_id": self.editor.id},
            "unlock": {"protection_id": self.protection.id},
            "unlock-answer": {"unlock_id": self.unlock.id},
            "unlock-picture": {"unlock_id": self.unlock.id},
            "protection": {"protection_id": self.protection.id},
            "lock-start": {**version, "commitment_id": self.protection.commitment_id},
            "reference-file": {"reference_id": self.reference.id},
            "job": {"job_id": self.run.job_id},
            "job-progress": {"job_id": self.run.job_id},
            "job-cancel": {"job_id": self.run.job_id},
            "suspect-upload": {"name": "suspect.safetensors"},
            "run": {"run_id": self.run.id},
            "run-protocol": {"run_id": self.run.id},
            "run-bundle": {"run_id": self.run.id},
            "run-transcript": {"run_id": self.run.id},
            "certificate": {"certificate_id": self.run.certificate_id},
            "certificate-body": {"certificate_id": self.run.certificate_id},
            "certificate-proof": {"certificate_id": self.run.certificate_id},
            "certificate-bundle": {"certificate_id": self.run.certificate_id},
            "certificate-revoke": {"certificate_id": self.run.certificate_id},
            "entry": {"index": 0},
            "entry-proof": {"index": 0},
            "case": {"case_id": self.case.id},
            "case-runs": {"case_id": self.case.id},
            "case-close": {"case_id": self.case.id},
            "case-share": {"case_id": self.case.id},
            "share-end": {"case_id": self.case.id, "share_id": self.share.id},
            "retest": {"case_id": self.case.id, "retest_id": self.retest.id},
            "shared": {"token": self.token_of_share},
            "shared-lodge": {"token": self.token_of_share},
            "shared-retest": {"token": self.token_of_share},
            "shared-bundle": {"token": self.token_of_share, "run_id": self.run.id},
            "report-new": {"case_id": self.case.id},
            "report-part": {"report_id": self.report.id, "part": "pdf"},
            "member-remove": {"member_id": self.member.id},
            "token-revoke": {"token_id": self.token.id},
        }.get(name, {})


@pytest.fixture
def world(alice: User, alice_actor: Actor) -> World:
    protection = factories.finished_protection(alice_actor)
    protection.refresh_from_db()
    model = protection.source.model
    alias_set(actor=alice_actor, model=model, name="production", version=protection.source)
    guard = factories.finished_guard(alice_actor, version=protection.source)
    run = factories.finished_run(alice_actor, protection=protection)
    case = case_create(actor=alice_actor, title="Robin was copied", runs=[run])
    share, token_of_share = share_create(actor=alice_actor, case=case)
    token, _ = token_create(
        actor=alice_actor,
        user=alice,
        name="nightly",
        scopes=["read"],
        expires_at=timezone.now() + timedelta(days=1),
    )
    return World(
        protection,
        draft=version_create(actor=alice_actor, model=model),
        trial=factories.finished_trial(alice_actor, protection.source),
        editor=factories.own_editor(alice_actor),
        unlock=factories.finished_unlock(alice_actor, protection),
        client=factories.guard_client(alice_actor, guard),
        trigger=factories.finished_trigger(alice_actor, version=protection.source),
        feature=factories.finished_feature(alice_actor, version=protection.source),
        run=run,
        reference=factories.reference_pool(alice_actor, protection.source, of_a_kind=1)[0],
        case=case,
        share=share,
        token_of_share=token_of_share,
        retest=retest_request(share=share, run=run, name="Globex", reason="Ask again."),
        report=report_create(actor=alice_actor, case=case),
        token=token,
        member=alice.memberships.get(),
    )


def joined(actor: Actor, name: str, role: str) -> Client:
    """A browser in which a new member with this role is logged in."""
    user = user_create(email=f"{name}@example.org", name=name, password=PASSWORD)
    member_add(actor=actor, user=user, role=role)
    return browser(user)


def browser(user: User) -> Client:
    """A browser in which this person is logged in."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def as_alice(alice: User, acme: Organisation) -> Client:
    return browser(alice)


@pytest.fixture
def as_bob(bob: User, acme: Organisation) -> Client:
    return browser(bob)


@pytest.fixture
def as_charlie(charlie: User, globex: Organisation) -> Client:
    return browser(charlie)


@pytest.fixture
def as_viewer(alice_actor: Actor) -> Client:
    return joined(alice_actor, "victor", Membership.Role.VIEWER)


@pytest.fixture
def as_auditor(alice_actor: Actor) -> Client:
    return joined(alice_actor, "dora", Membership.Role.AUDITOR)
