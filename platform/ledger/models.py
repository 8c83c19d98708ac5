"""The transparency log: a queue, and what is only ever added to.

Entries, nodes, checkpoints and certificates are append-only: triggers refuse every change and the
runtime role may only insert and select.
"""

import uuid

from django.db import models
from django.db.models import Q


@models.BinaryField.register_lookup
class Octets(models.Transform):
    """The length of bytes."""

    lookup_name = "octets"
    function = "octet_length"
    output_field = models.IntegerField()


class SigningKey(models.Model):
    """The public half of a key of this installation, with its time of validity."""

    class Purpose(models.TextChoices):
        CERTIFICATE = "certificate"
        LOG = "log"
        LOG_ML_DSA = "log-ml-dsa-44", "log (ML-DSA-44)"

    keyid = models.CharField(primary_key=True, max_length=64)
    purpose = models.CharField(max_length=20, choices=Purpose)
    public_pem = models.TextField()
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["valid_from"]

    def __str__(self) -> str:
        return f"{self.purpose} key {self.keyid[:12]}…"


class QueuedEntry(models.Model):
    """An entry that waits for its index; written in the transaction of what it records."""

    body = models.BinaryField(max_length=65_535)
    queued_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        # What does not fit an entry bundle would stop the sequencer for ever.
        constraints = [
            models.CheckConstraint(
                name="queued_entry_fits_a_bundle", condition=Q(body__octets__lte=65_535)
            )
        ]

    def __str__(self) -> str:
        return f"queued entry {self.pk}"


class Entry(models.Model):
    """A leaf of the log."""

    index = models.BigIntegerField(primary_key=True)
    body = models.BinaryField(max_length=65_535)
    # Not unique: two equal entries are two leaves, and refusing one would stop the sequencer.
    leaf_hash = models.BinaryField(max_length=32, db_index=True)
    queued_at = models.DateTimeField()
    integrated_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["index"]

    def __str__(self) -> str:
        return f"entry {self.index}"


class Node(models.Model):
    """The hash of a complete subtree: `level` 0 are the leaves."""

    pk = models.CompositePrimaryKey("level", "index")
    level = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return f"node {self.level}/{self.index}"


class Checkpoint(models.Model):
    """The log's signed word on its size and root, published: with the witnesses' cosignatures.

    Entries from its size on are in the log already, but nobody was told of them yet.
    """

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField(max_length=32)
    note = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-size"]

    def __str__(self) -> str:
        return f"checkpoint {self.size}"

    @property
    def root_hex(self) -> str:
        """The root as it is shown."""
        return bytes(self.root).hex()


class Certificate(models.Model):
    """A signed statement. `digest` is what its log entry names."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The organisation's id without a foreign key: the ledger knows no other room's models.
    organisation_id = models.UUIDField(db_index=True)
    kind = models.CharField(max_length=20)
    title = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, unique=True)
    leaf_hash = models.BinaryField(max_length=32, unique=True)
    body = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.title


class Subject(models.Model):
    """A digest that a certificate is about, so that one finds the certificate by it."""

    certificate = models.ForeignKey(Certificate, models.PROTECT, related_name="subjects")
    name = models.CharField(max_length=20)
    digest = models.CharField(max_length=64, db_index=True)

    def __str__(self) -> str:
        return f"{self.name} {self.digest[:12]}…"


class Revocation(models.Model):
    """That a certificate is not to be relied on; `by` is the certificate that says so."""

    certificate = models.OneToOneField(
        Certificate, models.PROTECT, primary_key=True, related_name="revocation"
    )
    by = models.OneToOneField(Certificate, models.PROTECT, related_name="revokes")

    def __str__(self) -> str:
        return f"revocation of {self.certificate}"


class Timestamp(models.Model):
    """An outside authority's RFC 3161 response on a certificate's signature."""

    certificate = models.OneToOneField(
        Certificate, models.PROTECT, primary_key=True, related_name="timestamp"
    )
    response = models.BinaryField(max_length=65_536)
    stamped_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"timestamp of {self.certificate}"
