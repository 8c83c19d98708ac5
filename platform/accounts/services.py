"""What changes organisations, members and tokens."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from accounts.actors import MANAGE, Actor
from accounts.models import ApiToken, Membership, Organisation, User
from spellmark.errors import SpellmarkError

TOKEN_PREFIX = "smk_"  # noqa: S105 - a public prefix, so that scanners recognise leaked tokens
LONGEST_TOKEN = timedelta(days=366)
_TOKEN = re.compile(rf"{TOKEN_PREFIX}([0-9a-f]{{16}})_[A-Za-z0-9_-]{{43}}")


class AccountError(SpellmarkError):
    """An account, membership or token that cannot be made."""


@transaction.atomic
def organisation_create(*, name: str, owner: User) -> Organisation:
    """A new organisation with its first owner."""
    slug = base = slugify(name)[:40] or "organisation"
    while Organisation.objects.filter(slug=slug).exists():
        slug = f"{base}-{secrets.token_hex(2)}"
    organisation = Organisation.objects.create(name=name, slug=slug)
    Membership.objects.create(user=owner, organisation=organisation, role=Membership.Role.OWNER)
    return organisation


def user_create(*, email: str, name: str, password: str) -> User:
    """A new person. Raises AccountError."""
    user = User(email=User.objects.normalize_email(email), name=name)
    try:
        validate_password(password, user)
        user.set_password(password)
        user.full_clean()
    except ValidationError as error:
        raise AccountError(" ".join(error.messages), hint="Correct it and try again.") from None
    user.save()
    return user


@transaction.atomic
def member_add(*, actor: Actor, user: User, role: str) -> Membership:
    """Take a person into the actor's organisation, or change their role. Raises AccountError."""
    actor.require(MANAGE)
    if role not in Membership.Role.values:
        raise AccountError(
            "There is no such role.", hint=f"Choose from {', '.join(Membership.Role.values)}."
        )
    # Locked, so that two owners who step down at once do not leave nobody.
    Organisation.objects.select_for_update().get(id=actor.organisation.id)
    owners = actor.organisation.memberships.filter(role=Membership.Role.OWNER)
    if role != Membership.Role.OWNER and not owners.exclude(user=user).exists():
        raise AccountError(
            "An organisation keeps at least one owner.", hint="Make somebody else an owner first."
        )
    membership, _ = Membership.objects.update_or_create(
        user=user, organisation=actor.organisation, defaults={"role": role}
    )
    return membership


@transaction.atomic
def member_remove(*, actor: Actor, membership: Membership) -> None:
    """Take a person out of the actor's organisation, with the tokens that they made there.

    Raises AccountError for the last owner.
    """
    actor.require(MANAGE)
    Organisation.objects.select_for_update().get(id=actor.organisation.id)
    owners = actor.organisation.memberships.filter(role=Membership.Role.OWNER)
    if not owners.exclude(id=membership.id).exists():
        raise AccountError(
            "An organisation keeps at least one owner.", hint="Make somebody else an owner first."
        )
    made = actor.organisation.tokens.filter(created_by=membership.user, revoked_at=None)
    made.update(revoked_at=timezone.now())
    actor.organisation.memberships.filter(id=membership.id).delete()


def token_create(
    *, actor: Actor, user: User, name: str, scopes: Sequence[str], expires_at: datetime
) -> tuple[ApiToken, str]:
    """A new API token and its text, which is shown once and not kept. Raises AccountError."""
    actor.require(MANAGE)
    if not scopes or not set(scopes) <= set(ApiToken.Scope.values):
        raise AccountError(
            "A token needs at least one scope.",
            hint=f"Choose from {', '.join(ApiToken.Scope.values)}.",
        )
    now = timezone.now()
    if not now < expires_at <= now + LONGEST_TOKEN:
        raise AccountError(
            "A token expires between now and a year from now.", hint="Choose such a date."
        )
    public_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    text = f"{TOKEN_PREFIX}{public_id}_{secret}"
    pepper_id = max(settings.TOKEN_PEPPERS)
    token = ApiToken.objects.create(
        organisation=actor.organisation,
        name=name,
        public_id=public_id,
        pepper_id=pepper_id,
        digest=_digest(text, pepper_id),
        scopes=sorted(set(scopes)),
        created_by=user,
        expires_at=expires_at,
    )
    return token, text


def token_revoke(*, actor: Actor, token: ApiToken) -> None:
    """End a token now."""
    actor.require(MANAGE)
    ApiToken.objects.filter(id=token.id, organisation=actor.organisation).update(
        revoked_at=timezone.now()
    )


def token_use(*, text: str) -> ApiToken | None:
    """The token that this text opens, if it is valid now; notes that it was used."""
    shape = _TOKEN.fullmatch(text)
    if shape is None:
        return None
    tokens = ApiToken.objects.select_related("organisation")
    token = tokens.filter(public_id=shape[1]).first()
    if token is None or token.pepper_id not in settings.TOKEN_PEPPERS:
        return None
    if not hmac.compare_digest(_digest(text, token.pepper_id), token.digest):
        return None
    now = timezone.now()
    if token.revoked_at is not None or token.expires_at <= now:
        return None
    # One write a minute is enough to see whether a token is still in use.
    if token.last_used_at is None or token.last_used_at < now - timedelta(minutes=1):
        ApiToken.objects.filter(id=token.id).update(last_used_at=now)
    return token


def _digest(text: str, pepper_id: int) -> str:
    pepper = settings.TOKEN_PEPPERS[pepper_id].encode()
    return hmac.new(pepper, text.encode(), hashlib.sha256).hexdigest()
