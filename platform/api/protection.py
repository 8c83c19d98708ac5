"""Locks and other protections, and attacks on them."""

import json
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, idempotent
from api.jobs import JobSerializer
from protection.attacks import ATTACKS
from protection.models import Protection, Rehearsal
from protection.selectors import protection_list, rehearsal_list
from protection.services import (
    LEAST_WRONG_SPELLS,
    MOST_SEEDS,
    attacks_create,
    key_lock_create,
    prompt_lock_create,
)
from registry.selectors import commitment_list
from spellmark.attacks.key_lock.catalogue import BUDGETS
from spellmark.locks.key_lock.settings import LEAST_WRONG_KEYS, USUAL_SEEDS
from spellmark.locks.prompt_lock.policies import POLICIES, UNIFORM
from spellmark.secrets import KeyFile


class ProtectionSerializer(serializers.ModelSerializer[Protection]):
    """A protection with its job and, when that is done, its report card.

    A guard has no result, but a time in which it marks answers, and perhaps a guard that it
    replaces. A trigger watermark has a certificate of its triggers' root.
    """

    source = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField()
    parameters = serializers.SerializerMethodField()
    job = JobSerializer(read_only=True)

    class Meta:
        model = Protection
        fields = [
            "id", "kind", "source", "result", "commitment_id", "parameters", "dataset",
            "settings", "report_card", "certificate_id", "valid_from", "valid_until", "replaces_id",
            "job", "created_by", "created_at",
        ]  # fmt: skip

    def get_source(self, row: Protection) -> str:
        """The version that is protected, as `model/number`."""
        return f"{row.source.model.name}/{row.source.number}"

    def get_result(self, row: Protection) -> str | None:
        """The version that a lock or a watermark gave, as `model/number`."""
        return f"{row.result.model.name}/{row.result.number}" if row.result else None

    def get_parameters(self, row: Protection) -> dict[str, Any]:
        """The parameters, which the commitment fixes."""
        parameters: dict[str, Any] = row.commitment.parameters
        return parameters


class KeyLockInput(serializers.Serializer[Any]):
    """What a key lock needs. The key file is sealed for the job and erased when it ends.

    What the lock does to images stands in the key file and in the commitment.
    """

    commitment = serializers.UUIDField()
    key_file = serializers.JSONField(binary=False, write_only=True)
    dataset = serializers.CharField(max_length=100)
    epochs = serializers.IntegerField(
        min_value=1,
        max_value=1000,
        required=False,
        help_text="Rounds of training; left out, as many as that number of images asks for.",
    )
    images = serializers.IntegerField(min_value=100, default=6000)
    wrong_keys = serializers.IntegerField(
        min_value=LEAST_WRONG_KEYS, max_value=100_000, default=LEAST_WRONG_KEYS
    )
    seeds = serializers.IntegerField(min_value=1, max_value=MOST_SEEDS, default=USUAL_SEEDS)


class PromptLockInput(KeyLockInput):
    """What a prompt lock needs. The key file is sealed for the job and erased when it ends.

    How images are edited stands in the key file and in the commitment, all but the spell.
    """

    epochs = serializers.IntegerField(min_value=1, max_value=1000, default=12)
    images = serializers.IntegerField(min_value=100, default=12_000)
    wrong_keys = serializers.IntegerField(
        min_value=LEAST_WRONG_SPELLS, max_value=100_000, default=LEAST_WRONG_SPELLS
    )
    negatives = serializers.ChoiceField(
        list(POLICIES), default=UNIFORM, help_text="What the model learns without the spell."
    )


class RehearsalSerializer(serializers.ModelSerializer[Rehearsal]):
    """Attacks on a lock with their job and, when that is done, what each reached at which cost."""

    job = JobSerializer(read_only=True)

    class Meta:
        model = Rehearsal
        fields = [
            "id", "protection_id", "dataset", "other_dataset", "attacks", "budget", "results",
            "job", "created_by", "created_at",
        ]  # fmt: skip


class AttacksInput(serializers.Serializer[Any]):
    """Which attacks to run, or all that there are on this kind of lock.

    The key file is sealed for the job and erased when it ends. `other_dataset` is for thefts from a
    guarded API: images unlike the owner's, which the thief asks about too.
    """

    key_file = serializers.JSONField(binary=False, write_only=True)
    dataset = serializers.CharField(max_length=100)
    other_dataset = serializers.CharField(max_length=100, required=False)
    attacks = serializers.ListField(
        child=serializers.ChoiceField(
            sorted({name for known in ATTACKS.values() for name in known})
        ),
        allow_empty=False,
        required=False,
    )
    budget = serializers.ChoiceField(list(BUDGETS), default="quick")


class Protections(Endpoint):
    """/protections"""

    @extend_schema(operation_id="protections_list", responses=ProtectionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The organisation's protections, newest first."""
        return self.page(request, protection_list(actor=self.actor), ProtectionSerializer)


class ProtectionDetail(Endpoint):
    """/protections/ID"""

    @extend_schema(responses=ProtectionSerializer)
    def get(self, request: Request, protection_id: UUID) -> Response:
        """One protection."""
        row = get_object_or_404(protection_list(actor=self.actor), id=protection_id)
        return Response(ProtectionSerializer(row).data)


class ProtectionAttacks(Endpoint):
    """/protections/ID/attacks"""

    @extend_schema(operation_id="attacks_list", responses=RehearsalSerializer(many=True))
    def get(self, request: Request, protection_id: UUID) -> Response:
        """The attacks that were run on this lock, newest first."""
        row = get_object_or_404(protection_list(actor=self.actor), id=protection_id)
        rows = rehearsal_list(actor=self.actor).filter(protection=row)
        return self.page(request, rows, RehearsalSerializer)

    @extend_schema(
        operation_id="attacks_create", request=AttacksInput, responses={202: RehearsalSerializer}
    )
    @idempotent
    def post(self, request: Request, protection_id: UUID) -> Response:
        """Attack one's own lock as a thief would, to learn what it is worth."""
        protection = get_object_or_404(protection_list(actor=self.actor), id=protection_id)
        data = self.read(AttacksInput(data=request.data))
        key = key_from(data.pop("key_file"))
        row = attacks_create(actor=self.actor, protection=protection, key=key, **data)
        return Response(RehearsalSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class KeyLocks(Endpoint):
    """/key-locks"""

    @extend_schema(request=KeyLockInput, responses={202: ProtectionSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Lock the version that a commitment belongs to."""
        data = self.read(KeyLockInput(data=request.data))
        commitment = get_object_or_404(commitment_list(actor=self.actor), id=data.pop("commitment"))
        key = key_from(data.pop("key_file"))
        row = key_lock_create(actor=self.actor, commitment=commitment, key=key, **data)
        return Response(ProtectionSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class PromptLocks(Endpoint):
    """/prompt-locks"""

    @extend_schema(request=PromptLockInput, responses={202: ProtectionSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Lock the version that a commitment to a spell belongs to."""
        data = self.read(PromptLockInput(data=request.data))
        commitment = get_object_or_404(commitment_list(actor=self.actor), id=data.pop("commitment"))
        key = key_from(data.pop("key_file"))
        row = prompt_lock_create(actor=self.actor, commitment=commitment, key=key, **data)
        return Response(ProtectionSerializer(row).data, status=status.HTTP_202_ACCEPTED)


def key_from(value: Any) -> KeyFile:
    """The key file in a request: its JSON as an object, or its text. Raises KeyFileError."""
    return KeyFile.loads(value if isinstance(value, str) else json.dumps(value))
