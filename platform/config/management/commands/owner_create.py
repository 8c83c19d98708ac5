"""Make a person, their organisation and, if asked for, an API token; each secret is shown once."""

import json
import secrets
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import ApiToken, User
from accounts.services import organisation_create, token_create, user_create


class Command(BaseCommand):
    """For an installation's first owner. An existing person only gets a new token."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, and for which organisation."""
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", default="")
        parser.add_argument("--organisation", required=True)
        parser.add_argument("--token", help="name of an API token to make")
        parser.add_argument("--token-days", type=int, default=30)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Print one JSON object with what was made."""
        made = {"email": options["email"]}
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            made["password"] = secrets.token_urlsafe(15)
            user = user_create(
                email=options["email"],
                name=options["name"] or options["email"].partition("@")[0],
                password=made["password"],
            )
        membership = user.memberships.filter(organisation__name=options["organisation"]).first()
        if membership is None:
            organisation = organisation_create(name=options["organisation"], owner=user)
            membership = organisation.memberships.get(user=user)
        if options["token"]:
            _, made["token"] = token_create(
                actor=Actor.from_membership(membership),
                user=user,
                name=options["token"],
                scopes=ApiToken.Scope.values,
                expires_at=timezone.now() + timedelta(days=options["token_days"]),
            )
        self.stdout.write(json.dumps(made))
