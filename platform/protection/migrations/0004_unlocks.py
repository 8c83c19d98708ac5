import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0001_initial"),
        ("protection", "0003_editors"),
    ]

    operations = [
        migrations.CreateModel(
            name="Unlock",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("source", models.JSONField()),
                ("picture", models.BinaryField(null=True)),
                ("with_key", models.JSONField(null=True)),
                ("without_key", models.JSONField(null=True)),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "job",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="unlock",
                        to="jobs.job",
                    ),
                ),
                (
                    "protection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="unlocks",
                        to="protection.protection",
                    ),
                ),
            ],
            options={"ordering": ["-created_at"]},
        ),
    ]
