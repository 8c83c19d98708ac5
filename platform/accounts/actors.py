"""Who acts: a person in one organisation, or a pipeline with one organisation's token.

Every service and selector takes an actor. What is outside the actor's organisation does not exist
for them.
"""

from dataclasses import dataclass

from accounts.models import ApiToken, Membership, Organisation
from spellmark.errors import SpellmarkError

READ, WRITE, VERIFY, MANAGE, AUDIT = "read", "write", "verify", "manage", "audit"

ROLES: dict[str, frozenset[str]] = {
    Membership.Role.VIEWER: frozenset({READ}),
    Membership.Role.EDITOR: frozenset({READ, WRITE, VERIFY}),
    Membership.Role.OWNER: frozenset({READ, WRITE, VERIFY, MANAGE, AUDIT}),
    Membership.Role.AUDITOR: frozenset({AUDIT}),
}


class ForbiddenError(SpellmarkError):
    """Something that the actor's role or token does not allow."""


@dataclass(frozen=True)
class Actor:
    """`permissions` are those of the role, or of the token's scopes."""

    organisation: Organisation
    name: str
    permissions: frozenset[str]

    @classmethod
    def from_membership(cls, membership: Membership) -> "Actor":
        """A person acting in one of their organisations."""
        return cls(membership.organisation, membership.user.email, ROLES[membership.role])

    @classmethod
    def from_token(cls, token: ApiToken) -> "Actor":
        """A pipeline acting with a token."""
        return cls(token.organisation, f"token {token.name}", frozenset(token.scopes))

    def may(self, *any_of: str) -> bool:
        """Whether the actor holds at least one of these permissions."""
        return not self.permissions.isdisjoint(any_of)

    def require(self, *any_of: str) -> None:
        """Raise ForbiddenError unless the actor holds at least one of these permissions."""
        if not self.may(*any_of):
            raise ForbiddenError(
                f"This needs the permission to {' or '.join(any_of)}.",
                hint="Ask an owner of the organisation for a role or a token that has it.",
            )
