"""Reading organisations, members and tokens."""

from django.db.models import QuerySet

from accounts.actors import MANAGE, Actor
from accounts.models import ApiToken, Membership, User


def membership_list(*, user: User) -> QuerySet[Membership]:
    """The organisations that a person belongs to, with their role in each."""
    return user.memberships.select_related("organisation", "user")


def member_list(*, actor: Actor) -> QuerySet[Membership]:
    """The people in the actor's organisation."""
    return actor.organisation.memberships.select_related("user").order_by("user__email")


def user_find(*, actor: Actor, email: str) -> User | None:
    """The person with this address, for an owner who wants to take them in."""
    actor.require(MANAGE)
    return User.objects.filter(email__iexact=email, is_active=True).first()


def token_list(*, actor: Actor) -> QuerySet[ApiToken]:
    """The API tokens of the actor's organisation."""
    actor.require(MANAGE)
    return actor.organisation.tokens.select_related("created_by")
