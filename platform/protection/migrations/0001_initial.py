
import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('jobs', '0001_initial'),
        ('registry', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Protection',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('key-lock', 'Key Lock')], max_length=20)),
                ('dataset', models.CharField(max_length=100)),
                ('settings', models.JSONField(default=dict)),
                ('report_card', models.JSONField(null=True)),
                ('created_by', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('commitment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='protections', to='registry.commitment')),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='protection', to='jobs.job')),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='protections', to='accounts.organisation')),
                ('result', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='protection', to='registry.version')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='protections', to='registry.version')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Rehearsal',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('dataset', models.CharField(max_length=100)),
                ('attacks', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None)),
                ('budget', models.CharField(max_length=20)),
                ('results', models.JSONField(null=True)),
                ('created_by', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='rehearsal', to='jobs.job')),
                ('protection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rehearsals', to='protection.protection')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
    ]
