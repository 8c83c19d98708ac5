"""What those who are accused may do, and the owner's side of it."""

import base64
import binascii
import json
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import READ, VERIFY
from api.disputes import DisputeEndpoint
from api.endpoints import Endpoint, idempotent
from api.protection import key_from
from api.verification import DemandSerializer, RunSerializer
from disputes.models import Case, Retest, Share
from disputes.report.protocol import protocol_of
from disputes.rights import (
    MAX_BUNDLE_BYTES,
    lodge_bundle,
    lodge_certificate,
    retest_request,
    retest_start,
    share_create,
    share_end,
    share_use,
)
from disputes.selectors import retest_list, share_list, shared_runs
from disputes.standing import (
    EARLIER,
    LATER,
    OTHER,
    UNDECIDED,
    Standing,
    case_standings,
    conclusion_of,
    standing_of,
)
from ledger.selectors import certificate_list
from verification.models import Run


class ShareSerializer(serializers.ModelSerializer[Share]):
    """A link to a case; its token is told once, when it is made."""

    class Meta:
        model = Share
        fields = ["id", "created_by", "created_at", "opened_at", "ended_at"]


class NewShareSerializer(ShareSerializer):
    """A link with its token."""

    token = serializers.CharField()

    class Meta(ShareSerializer.Meta):
        fields = [*ShareSerializer.Meta.fields, "token"]


class RetestSerializer(serializers.ModelSerializer[Retest]):
    """A new test that was asked for, and the run that came of it."""

    class Meta:
        model = Retest
        fields = ["id", "run_id", "name", "reason", "again_id", "created_at"]


class ComparisonSerializer(serializers.Serializer[Any]):
    """A lodged registration against one run."""

    run = serializers.UUIDField(source="run.id")
    outcome = serializers.ChoiceField([EARLIER, LATER, UNDECIDED, OTHER])
    proved = serializers.BooleanField()
    how = serializers.CharField()


class StandingSerializer(serializers.Serializer[Any]):
    """A registration that the accused lodged, as its signed bytes say."""

    id = serializers.UUIDField(source="lodged.id")
    lodged_by = serializers.CharField(source="lodged.name")
    statement = serializers.CharField(source="lodged.statement")
    lodged_at = serializers.DateTimeField(source="lodged.created_at")
    organisation = serializers.CharField(source="record.registration.organisation", default=None)
    model_digest = serializers.CharField(source="record.registration.model_digest", default=None)
    log = serializers.CharField(source="record.log")
    log_index = serializers.IntegerField(source="record.index")
    logged_at = serializers.DateTimeField(source="record.logged_at")
    stamped_at = serializers.DateTimeField(source="record.stamped_at")
    problem = serializers.CharField(source="record.problem")
    comparisons = ComparisonSerializer(many=True)


class AnswersSerializer(serializers.Serializer[Any]):
    """What was lodged and asked for in a case, and what it comes to."""

    conclusion = serializers.CharField()
    registrations = StandingSerializer(many=True)
    retests = RetestSerializer(many=True)


class RunForOthersSerializer(serializers.ModelSerializer[Run]):
    """A run without who made it, how its job went and how the suspect is reached."""

    suspect = serializers.CharField(source="suspect.name")
    compared_with = serializers.CharField(source="owners")
    state = serializers.CharField(source="job.state")

    class Meta:
        model = Run
        fields = [
            "id", "suspect", "compared_with", "method", "evidence_class", "rule", "smallest_p",
            "state", "verdict", "reason", "p_value", "score", "pool", "findings", "access_level",
            "transcript_sha256", "created_at", "finished_at",
        ]  # fmt: skip


class SharedRunSerializer(serializers.Serializer[Any]):
    """A run as the accused see it, with how it met the protocol."""

    run = RunForOthersSerializer()
    demands = DemandSerializer(many=True)


class SharedSerializer(AnswersSerializer):
    """A case as the accused see it."""

    title = serializers.CharField()
    organisation = serializers.CharField()
    runs = SharedRunSerializer(many=True)


class LodgeInput(serializers.Serializer[Any]):
    """A registration: a certificate of one's own in this log, or a bundle of another log."""

    certificate = serializers.UUIDField(allow_null=True, default=None)
    bundle = serializers.CharField(
        allow_blank=True, default="", max_length=2 * MAX_BUNDLE_BYTES, help_text="Base64."
    )
    trust = serializers.JSONField(allow_null=True, default=None)
    statement = serializers.CharField(max_length=2000, allow_blank=True, default="")


class RetestInput(serializers.Serializer[Any]):
    """A new test of a run."""

    run = serializers.UUIDField()
    reason = serializers.CharField(max_length=2000)


class RetestStartInput(serializers.Serializer[Any]):
    """What the new test needs: the key file unless it is by fingerprint. Sealed, then erased."""

    key_file = serializers.JSONField(write_only=True, allow_null=True, default=None)
    headers = serializers.DictField(
        child=serializers.CharField(max_length=5000), write_only=True, default=dict
    )


class CaseAnswers(DisputeEndpoint):
    """/cases/ID/answers"""

    @extend_schema(responses=AnswersSerializer)
    def get(self, request: Request, case_id: UUID) -> Response:
        """What the accused lodged and asked for, and what it comes to."""
        return Response(AnswersSerializer(_answers(self.case(case_id))).data)


class CaseShares(DisputeEndpoint):
    """/cases/ID/shares"""

    @extend_schema(operation_id="shares_list", responses=ShareSerializer(many=True))
    def get(self, request: Request, case_id: UUID) -> Response:
        """The links to a case, in the order in which they were made."""
        rows = share_list(actor=self.actor).filter(case=self.case(case_id))
        return self.page(request, rows, ShareSerializer)

    # Not idempotent: an answer that is repeated would have to be kept, and it holds the token.
    @extend_schema(request=None, responses={201: NewShareSerializer})
    def post(self, request: Request, case_id: UUID) -> Response:
        """Make a link for those who are accused."""
        share, token = share_create(actor=self.actor, case=self.case(case_id))
        told = {**ShareSerializer(share).data, "token": token}
        return Response(told, status=status.HTTP_201_CREATED)


class CaseShareEnd(DisputeEndpoint):
    """/cases/ID/shares/ID/end"""

    @extend_schema(request=None, responses=ShareSerializer)
    @idempotent
    def post(self, request: Request, case_id: UUID, share_id: UUID) -> Response:
        """End a link."""
        share = get_object_or_404(
            share_list(actor=self.actor), id=share_id, case=self.case(case_id)
        )
        share_end(actor=self.actor, share=share)
        share.refresh_from_db()
        return Response(ShareSerializer(share).data)


class CaseRetest(DisputeEndpoint):
    """/cases/ID/retests/ID"""

    @extend_schema(request=RetestStartInput, responses={202: RunSerializer})
    @idempotent
    def post(self, request: Request, case_id: UUID, retest_id: UUID) -> Response:
        """Start a new test that was asked for."""
        row = get_object_or_404(
            retest_list(actor=self.actor), id=retest_id, case=self.case(case_id)
        )
        data = self.read(RetestStartInput(data=request.data))
        key = key_from(data["key_file"]) if data["key_file"] else None
        run = retest_start(actor=self.actor, retest=row, key=key, headers=data["headers"])
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class SharedEndpoint(Endpoint):
    """Finds the case of a link, for an actor of any organisation."""

    def share(self, token: str) -> Share:
        """The link, or a 404."""
        share = share_use(token=token, actor=self.actor)
        if share is None:
            raise NotFound("There is no such link, or it was ended.")
        return share


class Shared(SharedEndpoint):
    """/shared/TOKEN"""

    @extend_schema(operation_id="shared_retrieve", responses=SharedSerializer)
    def get(self, request: Request, token: str) -> Response:
        """A case as those who are accused see it."""
        self.actor.require(READ)
        share = self.share(token)
        told = {
            **_answers(share.case),
            "title": share.case.title,
            "organisation": share.case.organisation.name,
            "runs": [{"run": run, "demands": protocol_of(run)} for run in shared_runs(share)],
        }
        return Response(SharedSerializer(told).data)


class SharedRegistrations(SharedEndpoint):
    """/shared/TOKEN/registrations"""

    @extend_schema(request=LodgeInput, responses={201: StandingSerializer})
    @idempotent
    def post(self, request: Request, token: str) -> Response:
        """Lodge a registration against a case."""
        self.actor.require(VERIFY)
        share = self.share(token)
        data = self.read(LodgeInput(data=request.data))
        if data["certificate"]:
            own = certificate_list(organisation_id=self.actor.organisation.id)
            row = lodge_certificate(
                actor=self.actor,
                share=share,
                certificate=get_object_or_404(own, id=data["certificate"]),
                statement=data["statement"],
            )
        else:
            row = lodge_bundle(
                actor=self.actor,
                share=share,
                name=self.actor.organisation.name,
                bundle=_decoded(data["bundle"]),
                trust_file=json.dumps(data["trust"]).encode() if data["trust"] else b"",
                statement=data["statement"],
            )
        standing: Standing = standing_of(row, shared_runs(share))
        return Response(StandingSerializer(standing).data, status=status.HTTP_201_CREATED)


class SharedRetests(SharedEndpoint):
    """/shared/TOKEN/retests"""

    @extend_schema(request=RetestInput, responses={201: RetestSerializer})
    @idempotent
    def post(self, request: Request, token: str) -> Response:
        """Ask for a new test of a run."""
        self.actor.require(VERIFY)
        share = self.share(token)
        data = self.read(RetestInput(data=request.data))
        run = get_object_or_404(shared_runs(share), id=data["run"])
        row = retest_request(actor=self.actor, share=share, run=run, name="", reason=data["reason"])
        return Response(RetestSerializer(row).data, status=status.HTTP_201_CREATED)


def _answers(case: Case) -> dict[str, Any]:
    standings = case_standings(case)
    return {
        "conclusion": conclusion_of(standings),
        "registrations": standings,
        "retests": case.retests.all(),
    }


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = b""
    if not data:
        raise ValidationError({"bundle": ["Give a certificate, or a bundle in Base64."]})
    return data
