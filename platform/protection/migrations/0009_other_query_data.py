from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('protection', '0008_false_claims'),
    ]

    operations = [
        migrations.AddField(
            model_name='rehearsal',
            name='other_dataset',
            field=models.CharField(blank=True, default='', max_length=100),
            preserve_default=False,
        ),
    ]
