"""Models, versions, files, commitments and aliases."""

from typing import Any

from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from api.endpoints import Endpoint, download, idempotent
from api.uploads import BINARY, body_chunks, content_length
from registry import storage
from registry.models import Alias, Commitment, File, Model, Version
from registry.selectors import model_list, version_list
from registry.services import (
    alias_delete,
    alias_set,
    commitment_create,
    file_upload,
    model_create,
    model_update,
    version_create,
    version_publish,
)
from registry.signatures import version_signature


class FileSerializer(serializers.ModelSerializer[File]):
    """A file of a version."""

    class Meta:
        model = File
        fields = ["name", "sha256", "size", "format", "summary", "created_at"]


class CommitmentSerializer(serializers.ModelSerializer[Commitment]):
    """A commitment with the binding that the registry drew for it."""

    class Meta:
        model = Commitment
        fields = [
            "id", "digest", "scheme", "parameters", "binding", "certificate_id", "created_by",
            "created_at",
        ]  # fmt: skip


class VersionSerializer(serializers.ModelSerializer[Version]):
    """A version with its files."""

    model = serializers.CharField(source="model.name", read_only=True)
    parent = serializers.SerializerMethodField()
    files = FileSerializer(many=True, read_only=True)

    class Meta:
        model = Version
        fields = [
            "id", "model", "number", "state", "parent", "derivation", "notes", "card",
            "root_digest", "certificate_id", "files", "created_by", "created_at", "published_at",
        ]  # fmt: skip

    def get_parent(self, version: Version) -> str | None:
        """The version that this one was made from, as `model/number`."""
        return f"{version.parent.model.name}/{version.parent.number}" if version.parent else None


class ModelSerializer(serializers.ModelSerializer[Model]):
    """A model."""

    class Meta:
        model = Model
        fields = ["id", "name", "description", "tags", "created_by", "created_at"]


class ModelInput(serializers.Serializer[Any]):
    """What a new model needs."""

    name = serializers.SlugField(max_length=100)
    description = serializers.CharField(max_length=5000, allow_blank=True, default="")
    tags = serializers.ListField(child=serializers.CharField(max_length=50), default=list)


class ModelChange(serializers.Serializer[Any]):
    """What can be changed about a model."""

    description = serializers.CharField(max_length=5000, allow_blank=True, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=50), required=False)


class VersionInput(serializers.Serializer[Any]):
    """What a new version may say."""

    notes = serializers.CharField(max_length=5000, allow_blank=True, default="")


class CommitmentInput(serializers.Serializer[Any]):
    """A commitment, as `spellmark commit` prints it."""

    digest = serializers.RegexField(r"^[0-9a-fA-F]{64}$")
    scheme = serializers.CharField(max_length=100)
    parameters = serializers.DictField()


class AliasSerializer(serializers.ModelSerializer[Alias]):
    """An alias and the number of the version that it names."""

    version = serializers.IntegerField(source="version.number", read_only=True)

    class Meta:
        model = Alias
        fields = ["name", "version", "protected", "moved_by", "moved_at"]


class AliasInput(serializers.Serializer[Any]):
    """Where an alias is to point."""

    version = serializers.IntegerField(min_value=1)
    protected = serializers.BooleanField(required=False)


class ModelEndpoint(Endpoint):
    """Finds the model or version that an address names, within the actor's organisation."""

    def model(self, name: str) -> Model:
        """The model, or a 404."""
        return get_object_or_404(model_list(actor=self.actor), name=name)

    def version(self, name: str, number: int) -> Version:
        """The version, or a 404."""
        return get_object_or_404(version_list(actor=self.actor), model__name=name, number=number)


class Models(ModelEndpoint):
    """/models"""

    @extend_schema(
        operation_id="models_list",
        parameters=[OpenApiParameter("search"), OpenApiParameter("tag")],
        responses=ModelSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """The organisation's models."""
        rows = model_list(
            actor=self.actor,
            search=request.query_params.get("search", ""),
            tag=request.query_params.get("tag", ""),
        )
        return self.page(request, rows, ModelSerializer)

    @extend_schema(request=ModelInput, responses={201: ModelSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Register a model."""
        model = model_create(actor=self.actor, **self.read(ModelInput(data=request.data)))
        return Response(ModelSerializer(model).data, status=status.HTTP_201_CREATED)


class ModelDetail(ModelEndpoint):
    """/models/NAME"""

    @extend_schema(responses=ModelSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One model."""
        return Response(ModelSerializer(self.model(name)).data)

    @extend_schema(request=ModelChange, responses=ModelSerializer)
    def patch(self, request: Request, name: str) -> Response:
        """Change a model's description or tags."""
        changes = self.read(ModelChange(data=request.data))
        model = model_update(actor=self.actor, model=self.model(name), **changes)
        return Response(ModelSerializer(model).data)


class Versions(ModelEndpoint):
    """/models/NAME/versions"""

    @extend_schema(operation_id="versions_list", responses=VersionSerializer(many=True))
    def get(self, request: Request, name: str) -> Response:
        """The model's versions, newest first."""
        rows = version_list(actor=self.actor).filter(model=self.model(name))
        return self.page(request, rows.prefetch_related("files"), VersionSerializer)

    @extend_schema(request=VersionInput, responses={201: VersionSerializer})
    @idempotent
    def post(self, request: Request, name: str) -> Response:
        """Open a draft version."""
        data = self.read(VersionInput(data=request.data))
        version = version_create(actor=self.actor, model=self.model(name), **data)
        return Response(VersionSerializer(version).data, status=status.HTTP_201_CREATED)


class VersionDetail(ModelEndpoint):
    """/models/NAME/versions/NUMBER"""

    @extend_schema(responses=VersionSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """One version with its files."""
        return Response(VersionSerializer(self.version(name, number)).data)


class VersionFile(ModelEndpoint):
    """/models/NAME/versions/NUMBER/files/FILE"""

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, name: str, number: int, file: str) -> FileResponse:
        """The file's bytes."""
        row = get_object_or_404(self.version(name, number).files, name=file)
        return FileResponse(
            storage.path_of(row.sha256).open("rb"), as_attachment=True, filename=row.name
        )

    @extend_schema(
        request=BINARY,
        responses={201: FileSerializer},
        parameters=[
            OpenApiParameter("X-Content-SHA256", location="header", description="Hex; checked.")
        ],
    )
    def put(self, request: Request, name: str, number: int, file: str) -> Response:
        """Upload a file into a draft: the body is the file, with its Content-Length."""
        row = file_upload(
            actor=self.actor,
            version=self.version(name, number),
            name=file,
            chunks=body_chunks(request),
            expected_size=content_length(request),
            expected_sha256=request.headers.get("X-Content-SHA256"),
        )
        return Response(FileSerializer(row).data, status=status.HTTP_201_CREATED)


class VersionPublish(ModelEndpoint):
    """/models/NAME/versions/NUMBER/publish"""

    @extend_schema(request=None, responses=VersionSerializer)
    @idempotent
    def post(self, request: Request, name: str, number: int) -> Response:
        """Freeze a draft and register it in the log."""
        version = version_publish(actor=self.actor, version=self.version(name, number))
        return Response(VersionSerializer(version).data)


class VersionSignature(ModelEndpoint):
    """/models/NAME/versions/NUMBER/signature"""

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, name: str, number: int) -> HttpResponse:
        """The version as an OpenSSF Model Signing v1.0 signature, for `model_signing verify`."""
        body = version_signature(self.version(name, number))
        return download(body, name="model.sig", content_type="application/json")


class Commitments(ModelEndpoint):
    """/models/NAME/versions/NUMBER/commitments"""

    @extend_schema(operation_id="commitments_list", responses=CommitmentSerializer(many=True))
    def get(self, request: Request, name: str, number: int) -> Response:
        """The version's commitments."""
        rows = self.version(name, number).commitments.all()
        return self.page(request, rows, CommitmentSerializer)

    @extend_schema(request=CommitmentInput, responses={201: CommitmentSerializer})
    @idempotent
    def post(self, request: Request, name: str, number: int) -> Response:
        """Commit to a secret; the answer holds the binding."""
        data = self.read(CommitmentInput(data=request.data))
        commitment = commitment_create(actor=self.actor, version=self.version(name, number), **data)
        return Response(CommitmentSerializer(commitment).data, status=status.HTTP_201_CREATED)


class Aliases(ModelEndpoint):
    """/models/NAME/aliases"""

    @extend_schema(operation_id="aliases_list", responses=AliasSerializer(many=True))
    def get(self, request: Request, name: str) -> Response:
        """The model's aliases."""
        rows = self.model(name).aliases.select_related("version")
        return self.page(request, rows, AliasSerializer)


class AliasDetail(ModelEndpoint):
    """/models/NAME/aliases/ALIAS"""

    @extend_schema(request=AliasInput, responses=AliasSerializer)
    def put(self, request: Request, name: str, alias: str) -> Response:
        """Point an alias at a version."""
        data = self.read(AliasInput(data=request.data))
        row = alias_set(
            actor=self.actor,
            model=self.model(name),
            name=alias,
            version=self.version(name, data["version"]),
            protected=data.get("protected"),
        )
        return Response(AliasSerializer(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, name: str, alias: str) -> Response:
        """Take an alias away."""
        row = get_object_or_404(self.model(name).aliases, name=alias)
        alias_delete(actor=self.actor, alias=row)
        return Response(status=status.HTTP_204_NO_CONTENT)
