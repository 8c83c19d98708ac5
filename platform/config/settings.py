"""The one settings file. Everything an operator may change comes from the environment."""

from ipaddress import ip_network
from pathlib import Path

import environ
from csp.constants import NONE, SELF

from config.keys import load_secret

env = environ.Env()
ROOT = Path(__file__).resolve().parents[2]

# Where the platform keeps its data: database, broker, stored files, keys, logs.
HOME = Path(env.str("SPELLMARK_HOME", str(ROOT / "var")))
KEYS = Path(env.str("SPELLMARK_KEYS", str(HOME / "keys")))
# What `manage.py up` tells the processes that it starts; by it other commands find them too.
environ.Env.read_env(HOME / "environment")
STORAGE = Path(env.str("SPELLMARK_STORAGE", str(HOME / "storage")))
SCRATCH = Path(env.str("SPELLMARK_SCRATCH", str(HOME / "scratch")))

DEBUG = env.bool("SPELLMARK_DEBUG", False)
SECRET_KEY = load_secret(KEYS, "django")
ALLOWED_HOSTS = env.list("SPELLMARK_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("SPELLMARK_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "config",
    "jobs",
    "ledger",
    "accounts",
    "registry",
    "protection",
    "verification",
    "disputes",
    "api",
    "web",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "web.middleware.ErrorPages",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "web.context.viewer",
            ],
        },
    }
]

# The runtime role may read and add to the ledger but not change it; migrations use the owner.
DATABASES = {"default": env.db_url("DATABASE_URL", "postgresql://spellmark@127.0.0.1/spellmark")}
DATABASES["default"]["CONN_MAX_AGE"] = 60
RUNTIME_DATABASE_ROLE = env.str("SPELLMARK_DATABASE_ROLE", "spellmark_app")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "web:login"
LOGIN_REDIRECT_URL = "web:models"
LOGOUT_REDIRECT_URL = "web:login"
# API tokens are stored as HMACs under the newest pepper; older ones still verify.
TOKEN_PEPPERS = {1: load_secret(KEYS, "token-pepper-1")}

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [ROOT / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# Bodies of ordinary requests; files are streamed and have their own limit.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20
MAX_FILE_BYTES = env.int("SPELLMARK_MAX_FILE_BYTES", 10 << 30)

HTTPS = env.bool("SPELLMARK_HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["api.authentication.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "api.pagination.Pages",
    "DEFAULT_PARSER_CLASSES": ["api.parsers.NestedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "api.schema.Schema",
    "EXCEPTION_HANDLER": "api.errors.handle",
    "UNAUTHENTICATED_USER": None,
    "PAGE_SIZE": 50,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Spellmark API",
    "DESCRIPTION": "Register, lock and verify machine-learning models.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {"JobState": "jobs.models.Job.State"},
}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")

# A worker that does not renew its lease in this time is taken for lost.
JOB_LEASE_SECONDS = env.float("SPELLMARK_JOB_LEASE_SECONDS", 30)
JOB_MAX_ATTEMPTS = env.int("SPELLMARK_JOB_MAX_ATTEMPTS", 5)

# Networks that suspects may live in beside the public internet, such as 127.0.0.0/8.
EGRESS_ALLOWED_NETWORKS = tuple(
    ip_network(part) for part in env.list("SPELLMARK_EGRESS_ALLOWED_NETWORKS", default=[])
)
EGRESS_TIMEOUT_SECONDS = env.float("SPELLMARK_EGRESS_TIMEOUT_SECONDS", 30)

# The log's public name; it stands in every checkpoint and never changes.
LOG_ORIGIN = env.str("SPELLMARK_LOG_ORIGIN", "") or load_secret(
    KEYS, "log-origin", prefix="spellmark.log/", size=8
)
# An RFC 3161 authority that stamps every certificate, and the files with the certificates (PEM, its
# own first, its root last) of all authorities that were ever used: verifiers trust these.
TIMESTAMP_URL = env.str("SPELLMARK_TIMESTAMP_URL", "")
TIMESTAMP_AUTHORITIES = tuple(
    Path(path).read_text() for path in env.list("SPELLMARK_TIMESTAMP_CERTIFICATES", default=[])
)
# Whether anybody may read checkpoints and tiles under /log/; they hold digests only.
LOG_PUBLIC = env.bool("SPELLMARK_LOG_PUBLIC", True)
# The witnesses and the quorum that a checkpoint needs before it is published: a tlog-policy file.
LOG_POLICY = Path(env.str("SPELLMARK_LOG_POLICY", str(KEYS / "log-policy.txt")))
LOG_WITNESS_TIMEOUT_SECONDS = env.float("SPELLMARK_LOG_WITNESS_TIMEOUT_SECONDS", 5)
# Where the log's tiles are written for a static host, if anywhere: a folder, or any storage that
# Django knows as JSON, such as {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {…}}.
LOG_TILES = env.str("SPELLMARK_LOG_TILES", "")
# What holds the signing keys; another class reaches a token or a key service (docs/ledger.md).
KEY_STORE = env.str("SPELLMARK_KEY_STORE", "ledger.key_store.KeyFiles")
# Key files are encrypted under it. Without one the key-encryption key serves.
KEY_PASSPHRASE = env.str("SPELLMARK_KEY_PASSPHRASE", "")
PUBLIC_URL = env.str("SPELLMARK_PUBLIC_URL", "http://127.0.0.1:8000")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"spellmark": {"level": "INFO"}, "django.request": {"level": "ERROR"}},
}
