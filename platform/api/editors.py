"""Editors of prompt locks that an organisation has for itself."""

from typing import Any
from uuid import UUID

from django.http import FileResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import WRITE
from api.endpoints import Endpoint, idempotent
from api.jobs import JobSerializer
from api.protection import key_from
from api.uploads import BINARY, body_chunks, content_length
from protection.editors import LEAST_STEPS, MOST_STEPS, editor_train, editor_upload
from protection.models import Editor
from protection.selectors import editor_list
from registry import storage
from spellmark.locks.prompt_lock.editor_file import OWNERS_STEPS


class EditorSerializer(serializers.ModelSerializer[Editor]):
    """An editor. Its digest is what a key file's parameters name; empty until it is trained."""

    job = JobSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Editor
        fields = ["id", "name", "digest", "settings", "job", "created_by", "created_at"]


class EditorInput(serializers.Serializer[Any]):
    """How an editor is trained. The key file is sealed for the job and erased when it ends."""

    name = serializers.CharField(max_length=100)
    key_file = serializers.JSONField(binary=False, write_only=True)
    dataset = serializers.CharField(max_length=100)
    steps = serializers.IntegerField(
        min_value=LEAST_STEPS, max_value=MOST_STEPS, default=OWNERS_STEPS
    )


class Editors(Endpoint):
    """/editors"""

    @extend_schema(operation_id="editors_list", responses=EditorSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The organisation's own editors, newest first; the public one is not among them."""
        return self.page(request, editor_list(actor=self.actor), EditorSerializer)

    @extend_schema(request=EditorInput, responses={202: EditorSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Train an editor that only the holder of a key file has."""
        data = self.read(EditorInput(data=request.data))
        row = editor_train(actor=self.actor, key=key_from(data.pop("key_file")), **data)
        return Response(EditorSerializer(row).data, status=status.HTTP_202_ACCEPTED)


class EditorUpload(Endpoint):
    """/editors/files/NAME"""

    @extend_schema(request=BINARY, responses={201: EditorSerializer})
    def put(self, request: Request, name: str) -> Response:
        """Upload an editor: the body is the file that `spellmark editor train` wrote."""
        row = editor_upload(
            actor=self.actor,
            name=name,
            chunks=body_chunks(request),
            expected_size=content_length(request),
        )
        return Response(EditorSerializer(row).data, status=status.HTTP_201_CREATED)


class EditorDetail(Endpoint):
    """/editors/ID"""

    @extend_schema(responses=EditorSerializer)
    def get(self, request: Request, editor_id: UUID) -> Response:
        """One editor."""
        row = get_object_or_404(editor_list(actor=self.actor), id=editor_id)
        return Response(EditorSerializer(row).data)


class EditorFile(Endpoint):
    """/editors/ID/file"""

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, editor_id: UUID) -> FileResponse:
        """The editor's file. It is as secret as a key file, so reading alone is not enough."""
        rows = editor_list(actor=self.actor).exclude(digest="")
        row = get_object_or_404(rows, id=editor_id)
        self.actor.require(WRITE)
        return FileResponse(
            storage.path_of(row.digest).open("rb"),
            as_attachment=True,
            filename=f"editor-{row.digest[:12]}.safetensors",
            content_type="application/octet-stream",
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )
