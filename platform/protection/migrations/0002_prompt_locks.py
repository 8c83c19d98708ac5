import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0001_initial"),
        ("protection", "0001_initial"),
        ("registry", "0002_published_versions_stay"),
    ]

    operations = [
        migrations.AlterField(
            model_name="protection",
            name="kind",
            field=models.CharField(
                choices=[("key-lock", "Key Lock"), ("prompt-lock", "Prompt Lock")], max_length=20
            ),
        ),
        migrations.CreateModel(
            name="Trial",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("dataset", models.CharField(max_length=100)),
                ("parameters", models.JSONField()),
                ("sheet", models.BinaryField(null=True)),
                ("change", models.FloatField(null=True)),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "job",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="trial",
                        to="jobs.job",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="trials",
                        to="registry.version",
                    ),
                ),
            ],
            options={"ordering": ["-created_at"]},
        ),
    ]
