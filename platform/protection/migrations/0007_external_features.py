from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('protection', '0006_trigger_watermarks'),
    ]

    operations = [
        migrations.AlterField(
            model_name='protection',
            name='kind',
            field=models.CharField(choices=[('key-lock', 'Key Lock'), ('prompt-lock', 'Prompt Lock'), ('dynamic', 'Dynamic watermark'), ('trigger', 'Trigger watermark'), ('external-feature', 'External feature')], max_length=20),
        ),
    ]
