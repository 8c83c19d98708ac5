"""Triggers that refuse every change to a published version and its files."""

from django.db import migrations

VERSION = """
CREATE FUNCTION registry_refuse_version_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'published' THEN
        RAISE EXCEPTION 'a published version never changes';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER published_stays BEFORE UPDATE OR DELETE ON registry_version
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_version_change();
"""

FILE = """
CREATE FUNCTION registry_refuse_file_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Both, so that no file is moved out of a published version either.
    IF EXISTS (
        SELECT 1 FROM registry_version
        WHERE id IN (OLD.version_id, NEW.version_id) AND state = 'published'
    ) THEN
        RAISE EXCEPTION 'the files of a published version never change';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER published_stays BEFORE INSERT OR UPDATE OR DELETE ON registry_file
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_file_change();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]
    operations = [
        migrations.RunSQL(VERSION, "DROP FUNCTION registry_refuse_version_change() CASCADE"),
        migrations.RunSQL(FILE, "DROP FUNCTION registry_refuse_file_change() CASCADE"),
    ]
