"""What certificates are about, which of them are revoked, and their timestamps."""

import django.db.models.deletion
from django.db import migrations, models

from spellmark.certificates.certificate import loads
from spellmark.certificates.statements import subjects_of

TRIGGER = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
"""


def note_subjects(apps, schema_editor):
    Subject = apps.get_model("ledger", "Subject")
    for certificate in apps.get_model("ledger", "Certificate").objects.iterator():
        subjects = subjects_of(loads(bytes(certificate.body)).payload)
        Subject.objects.bulk_create(
            Subject(certificate=certificate, name=name, digest=digest)
            for name, digest in subjects.items()
        )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_tree")]
    operations = [
        migrations.CreateModel(
            name="Subject",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=20)),
                ("digest", models.CharField(db_index=True, max_length=64)),
                ("certificate", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="subjects", to="ledger.certificate")),
            ],
        ),
        migrations.CreateModel(
            name="Revocation",
            fields=[
                ("certificate", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name="revocation", serialize=False, to="ledger.certificate")),
                ("by", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name="revokes", to="ledger.certificate")),
            ],
        ),
        migrations.CreateModel(
            name="Timestamp",
            fields=[
                ("certificate", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name="timestamp", serialize=False, to="ledger.certificate")),
                ("response", models.BinaryField(max_length=65536)),
                ("stamped_at", models.DateTimeField()),
            ],
        ),
        migrations.RunPython(note_subjects, migrations.RunPython.noop),
        *(
            migrations.RunSQL(
                TRIGGER.format(table=table), f"DROP TRIGGER append_only ON {table}"
            )
            for table in ("ledger_subject", "ledger_revocation", "ledger_timestamp")
        ),
    ]
