"""The red team's page: every kind of false claim, and what stopped it."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.actors import READ, WRITE, Actor
from protection.false_claims import (
    USUAL_BUDGET,
    FalseClaim,
    accepted_of,
    budgets,
    false_claims,
    false_claims_create,
    in_short,
)
from protection.models import Rehearsal
from protection.selectors import rehearsal_list
from spellmark.attacks.forge_claim.catalogue import FORGERIES
from web.forms import submit
from web.protection import DatasetField, version_of
from web.viewer import form_page


class FalseClaimsForm(forms.Form):
    """On which images, and how many claims."""

    dataset = DatasetField(
        label="Images",
        help_text="Those that your model was trained on: the accuser, the innocents and the null "
        "pool learn from them.",
    )
    budget = forms.ChoiceField(
        choices=budgets, widget=forms.RadioSelect, initial=USUAL_BUDGET, label="Size"
    )


@form_page(READ)
def false_claims_page(request: HttpRequest, actor: Actor, name: str, number: int) -> HttpResponse:
    """What came of the false claims that were made with models like a version; and more of them."""
    version = version_of(actor, name, number)
    if request.method == "POST":
        actor.require(WRITE)
    form = FalseClaimsForm(request.POST or None)
    if request.POST and (made := submit(form, false_claims_create, actor=actor, version=version)):
        return redirect("web:job", job_id=made.job_id)
    rehearsals = rehearsal_list(actor=actor).filter(version=version)
    context = {
        "version": version,
        "form": form,
        "kinds": [(name.capitalize(), sentence) for name, sentence in FORGERIES.items()],
        "rehearsals": [_shown(one) for one in rehearsals],
    }
    return render(request, "protection/false_claims.html", context)


def _shown(row: Rehearsal) -> tuple[Rehearsal, list[FalseClaim], int, str]:
    """A rehearsal with its rows, how many claims were believed, and that in words."""
    results = row.results or []
    return row, false_claims(results), accepted_of(results), in_short(results)
