import uuid

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("jobs", "0001_initial"),
        ("protection", "0004_unlocks"),
        ("registry", "0002_published_versions_stay"),
    ]

    operations = [
        migrations.CreateModel(
            name="GuardClient",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=100,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[A-Za-z0-9][A-Za-z0-9._@-]*\\Z",
                                "Use letters, digits, dots, dashes, underscores and @, without spaces.",
                            )
                        ],
                    ),
                ),
                ("binding", models.CharField(max_length=64)),
                ("commitment", models.CharField(max_length=64)),
                ("certificate_id", models.UUIDField()),
                ("created_by", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["created_at"],
            },
        ),
        migrations.AddField(
            model_name="protection",
            name="replaces",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="successors",
                to="protection.protection",
            ),
        ),
        migrations.AddField(
            model_name="protection",
            name="valid_from",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="protection",
            name="valid_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="protection",
            name="kind",
            field=models.CharField(
                choices=[
                    ("key-lock", "Key Lock"),
                    ("prompt-lock", "Prompt Lock"),
                    ("dynamic", "Dynamic watermark"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="protection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "dynamic"), _negated=True), ("result", None), _connector="OR"
                ),
                name="a_guard_changes_no_model",
            ),
        ),
        migrations.AddConstraint(
            model_name="protection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind", "dynamic"),
                    models.Q(("replaces", None), ("valid_from", None), ("valid_until", None)),
                    _connector="OR",
                ),
                name="only_guards_have_a_validity",
            ),
        ),
        migrations.AddConstraint(
            model_name="protection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_until", None),
                    models.Q(
                        ("valid_from__isnull", False), ("valid_until__gt", models.F("valid_from"))
                    ),
                    _connector="OR",
                ),
                name="a_guard_ends_after_it_begins",
            ),
        ),
        migrations.AddField(
            model_name="guardclient",
            name="guard",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="clients",
                to="protection.protection",
            ),
        ),
        migrations.AddConstraint(
            model_name="guardclient",
            constraint=models.UniqueConstraint(
                fields=("guard", "name"),
                name="a_guard_has_a_client_once",
                violation_error_message="This guard has, or had, a client of that name. Choose another name.",
            ),
        ),
    ]
