from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):

    dependencies = [
        ('protection', '0007_external_features'),
        ('registry', '0002_published_versions_stay'),
    ]

    operations = [
        migrations.AlterField(
            model_name='rehearsal',
            name='protection',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rehearsals', to='protection.protection'),
        ),
        migrations.AddField(
            model_name='rehearsal',
            name='version',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rehearsals', to='registry.version'),
        ),
        migrations.AddConstraint(
            model_name='rehearsal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('protection__isnull', False), ('version', None)), models.Q(('protection', None), ('version__isnull', False)), _connector='OR'), name='a_rehearsal_is_for_a_protection_or_a_version'),
        ),
    ]
