
import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('jobs', '0001_initial'),
        ('protection', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Suspect',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('kind', models.CharField(choices=[('endpoint', 'Endpoint'), ('file', 'File')], max_length=10)),
                ('config', models.JSONField(blank=True, default=dict)),
                ('sha256', models.CharField(blank=True, max_length=64)),
                ('created_by', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='suspects', to='accounts.organisation')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('method', models.CharField(max_length=50)),
                ('evidence_class', models.CharField(max_length=20)),
                ('rule', models.JSONField()),
                ('smallest_p', models.FloatField()),
                ('batch', models.PositiveIntegerField()),
                ('dataset', models.CharField(max_length=100)),
                ('seed', models.CharField(max_length=64)),
                ('registration_index', models.BigIntegerField()),
                ('registration_digest', models.CharField(max_length=64)),
                ('created_by', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('verdict', models.CharField(blank=True, choices=[('match', 'Match'), ('no match', 'No Match'), ('inconclusive', 'Inconclusive')], max_length=20)),
                ('reason', models.TextField(blank=True)),
                ('statistic', models.IntegerField(null=True)),
                ('p_value', models.FloatField(null=True)),
                ('answered_probes', models.PositiveIntegerField(null=True)),
                ('hits', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), null=True, size=None)),
                ('true_slot', models.IntegerField(null=True)),
                ('null_distribution', django.contrib.postgres.fields.ArrayField(base_field=models.FloatField(), null=True, size=None)),
                ('access_level', models.CharField(blank=True, max_length=50)),
                ('transcript_sha256', models.CharField(blank=True, max_length=64)),
                ('certificate_id', models.UUIDField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('job', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='run', to='jobs.job')),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='accounts.organisation')),
                ('protection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='protection.protection')),
                ('suspect', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='verification.suspect')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Exchange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('sent', 'Sent'), ('answered', 'Answered'), ('failed', 'Failed'), ('lost', 'Lost')], max_length=10)),
                ('line', models.JSONField()),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='exchanges', to='verification.run')),
            ],
            options={
                'ordering': ['number'],
                'constraints': [models.UniqueConstraint(fields=('run', 'number'), name='no_query_is_sent_twice')],
            },
        ),
        migrations.AddConstraint(
            model_name='suspect',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'endpoint'), ('sha256', '')), models.Q(('kind', 'file'), ('sha256__regex', '^[0-9a-f]{64}$')), _connector='OR'), name='a_suspect_file_has_a_digest'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('verdict', 'match'), _negated=True), models.Q(('p_value__isnull', False), ('transcript_sha256__regex', '^[0-9a-f]{64}$')), _connector='OR'), name='a_match_has_its_p_value_and_transcript'),
        ),
    ]
