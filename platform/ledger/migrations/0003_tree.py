"""Equal entries are allowed, oversized ones are not; the log has a second kind of key."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_append_only")]
    operations = [
        migrations.AlterField(
            model_name="entry",
            name="leaf_hash",
            field=models.BinaryField(db_index=True, max_length=32),
        ),
        migrations.AlterField(
            model_name="signingkey",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("certificate", "Certificate"),
                    ("log", "Log"),
                    ("log-ml-dsa-44", "log (ML-DSA-44)"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="queuedentry",
            constraint=models.CheckConstraint(
                name="queued_entry_fits_a_bundle", condition=Q(("body__octets__lte", 65_535))
            ),
        ),
    ]
