"""Logging in, changing organisation, and for owners the members and API tokens."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.utils import timezone

from accounts.actors import MANAGE, Actor
from accounts.models import ApiToken, Membership
from accounts.selectors import member_list, token_list, user_find
from accounts.services import member_add, member_remove, token_create, token_revoke
from web import throttle
from web.context import viewer
from web.forms import submit
from web.viewer import SESSION_KEY, action, form_page, memberships, paginate

ROLE_HELP = {
    Membership.Role.VIEWER: "reads everything",
    Membership.Role.EDITOR: "registers, locks and verifies models",
    Membership.Role.OWNER: "does everything, members and tokens included",
    Membership.Role.AUDITOR: "reads cases, runs, certificates and the ledger, nothing else",
}
SCOPE_HELP = {
    ApiToken.Scope.READ: "look at models, runs and certificates",
    ApiToken.Scope.WRITE: "register and lock models",
    ApiToken.Scope.VERIFY: "name suspects, start runs, open cases",
}
LIFETIMES = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "one year"}


class LoginForm(AuthenticationForm):
    """E-mail address and password. It never tells which of the two was wrong."""

    error_messages = {
        "invalid_login": "This e-mail address and password do not belong together.",
        "inactive": "This e-mail address and password do not belong together.",
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "E-mail address"
        self.fields["username"].widget = forms.EmailInput(
            attrs={"autocomplete": "username", "autofocus": True, "maxlength": 254}
        )

    def clean(self) -> dict[str, Any]:
        """Check the password, unless this place has failed too often."""
        email = self.cleaned_data.get("username", "")
        if throttle.is_blocked(self.request, email):
            raise forms.ValidationError(
                "Too many failed attempts. Wait a quarter of an hour, then try again."
            )
        try:
            cleaned = super().clean()
        except forms.ValidationError:
            throttle.failed(self.request, email)
            raise
        throttle.succeeded(self.request, email)
        return cleaned


class Login(LoginView):
    """The login page."""

    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def get_default_redirect_url(self) -> str:
        """An auditor may not see the models: the first page is the person's own."""
        return reverse("web:home")


class Password(PasswordChangeView):
    """Changing one's own password."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("web:home")

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it worked."""
        messages.success(self.request, "Your password is changed. Other sessions are logged out.")
        return super().form_valid(form)


class MemberForm(forms.Form):
    """A person by their address, and a role."""

    email = forms.EmailField(label="E-mail address", help_text="Of an account that exists here.")
    role = forms.ChoiceField(
        choices=[(role.value, f"{role.label}: {told}") for role, told in ROLE_HELP.items()],
        initial=Membership.Role.VIEWER,
    )


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(
        max_length=100, help_text="What will use it, such as “release pipeline”."
    )
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=[(scope.value, f"{scope.label}: {told}") for scope, told in SCOPE_HELP.items()],
        widget=forms.CheckboxSelectMultiple,
        initial=[ApiToken.Scope.READ],
    )
    expires_at = forms.ChoiceField(label="Valid for", choices=LIFETIMES.items(), initial="90")

    def clean_expires_at(self) -> Any:
        """The moment at which it ends."""
        return timezone.now() + timedelta(days=int(self.cleaned_data["expires_at"]))


def home(request: HttpRequest) -> HttpResponse:
    """The first page that this person may see."""
    if not request.user.is_authenticated:
        return redirect("web:login")
    places = viewer(request)["navigation"]
    if not places:
        return render(request, "accounts/no_organisation.html", status=403)
    return redirect(places[0]["url"])


@action()
def organisation_switch(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Act in another of one's organisations from now on."""
    wanted = request.POST.get("organisation", "")
    if wanted in {str(membership.organisation_id) for membership in memberships(request)}:
        request.session[SESSION_KEY] = wanted
    return redirect("web:home")


@action(MANAGE)
def member_out(request: HttpRequest, actor: Actor, member_id: int) -> HttpResponse:
    """Take a person out of the organisation."""
    membership = get_object_or_404(member_list(actor=actor), id=member_id)
    member_remove(actor=actor, membership=membership)
    messages.success(request, f"{membership.user} is no longer a member.")
    return redirect("web:members")


@form_page(MANAGE)
def members(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The people of the organisation; adding one, or changing a role."""
    form = MemberForm(request.POST or None)
    if form.is_valid():
        user = user_find(actor=actor, email=form.cleaned_data["email"])
        if user is None:
            form.add_error(
                "email",
                "Nobody has an account with this address here. The operator makes accounts; "
                "then you can add them.",
            )
        elif user == request.user:
            form.add_error(None, "You cannot change your own role. Ask another owner.")
        else:
            member_add(actor=actor, user=user, role=form.cleaned_data["role"])
            messages.success(request, f"{user} is now {form.cleaned_data['role']} here.")
            return redirect("web:members")
    rows = member_list(actor=actor)
    context = {"members": rows, "form": form, "roles": Membership.Role, "role_help": ROLE_HELP}
    return render(request, "accounts/members.html", context)


@form_page(MANAGE)
def tokens(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The organisation's API tokens; a new one is shown in the answer to its form, once."""
    form = TokenForm(request.POST or None)
    made = submit(form, token_create, actor=actor, user=request.user) if request.POST else None
    if made is not None:
        token, text = made
        return render(request, "accounts/token.html", {"token": token, "text": text})
    rows = paginate(request, token_list(actor=actor))
    context = {"tokens": rows, "form": form, "now": timezone.now()}
    return render(request, "accounts/tokens.html", context)


@action(MANAGE)
def token_end(request: HttpRequest, actor: Actor, token_id: UUID) -> HttpResponse:
    """Revoke a token."""
    token = get_object_or_404(token_list(actor=actor), id=token_id)
    token_revoke(actor=actor, token=token)
    messages.success(request, f"The token “{token.name}” is revoked.")
    return redirect("web:tokens")
