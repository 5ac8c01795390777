"""Does doctor name each fault with its mend, and does one part's trouble leave the others alone?"""

from __future__ import annotations

import contextlib
import email.utils
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import trustme
from click.testing import CliRunner, Result

from integrations.checks import Check, Question, Report, State, examine, stripe_webhook, zendesk_access
from integrations.checks.asking import Clocks, Inquiry, gather, late
from integrations.checks.expected import FIELDS, STRIPE_EVENTS
from integrations.checks.server import certificate
from integrations.checks.stripe_access import READING, SPARE, WRITING, masked
from integrations.checks.zendesk_fields import fields
from integrations.settings import NAMES, Settings
from integrations.slots import Slot, folder, live
from integrations.store import database
from integrations.store.tables import card, installed
from integrations.twins import zendesk_auth
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.server import Request, Response, Twin
from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin, World
from integrations.twins.zendesk_twin import ZendeskTwin
from integrations.zendesk_wire import SCOPES
from testkit.indoors import migrated_copy
from zendesk.setup_commands import doctor

READ_KEY, WRITE_KEY = "rk_test_read" + "r" * 20, "rk_test_write" + "w" * 20
REPOSITORY = "acme/web"
SECRET = "whs-" + "k" * 24
LABELS = ("billing-gap", "gap:no_billing_portal")


class Front(Twin):
    """What stands at our public address: refuses forged deliveries, unless `status` says otherwise."""

    service = "front"
    status = 401

    def handle(self, request: Request) -> Response:
        return Response(self.status, {"error": {"code": "bad_signature"}})


class PunctualGitHub(GitHubTwin):
    """A GitHub that tells the time, as the real one does in `Date`."""

    ahead = timedelta()

    def handle(self, request: Request) -> Response:
        response = super().handle(request)
        moment = email.utils.format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)
        response.headers = {**response.headers, "Date": moment}
        return response


@dataclass
class Town:
    """Twins of everybody, all in order, and the settings that lead to them."""

    stripe: StripeTwin
    zendesk: ZendeskTwin
    github: PunctualGitHub
    front: Front
    settings: Settings
    folder: Path

    def report(self, **changes: Any) -> Report:
        seconds, only = changes.pop("seconds", 15.0), changes.pop("only", "")
        settings = replace(self.settings, **changes)
        return examine(Question(settings=settings, labels=LABELS, seconds=seconds, only=only))

    def check(self, group: str, name: str, **changes: Any) -> Check:
        only = "" if name == "Clock" else group  # everybody is asked the time
        return find(self.report(**changes, only=only), group, name)


def find(report: Report, group: str, name: str) -> Check:
    found = [check for check in report.checks if (check.group, check.name) == (group, name)]
    assert found, [check.name for check in report.checks if check.group == group]
    return found[0]


def states(report: Report, group: str) -> set[State]:
    return {check.state for check in report.checks if check.group == group}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with (
        StripeTwin(check_responses=False) as stripe,
        ZendeskTwin() as zendesk,
        PunctualGitHub() as github,
        Front() as front,
    ):
        store = migrated_copy(tmp_path / "desk.db")
        engine = database.open_engine(f"sqlite:///{store}")
        store.chmod(0o600)
        World(stripe).portal_configuration()
        stripe.add_key(READ_KEY, {probe.permission for probe in READING})
        stripe.add_key(WRITE_KEY, {probe.permission for probe in WRITING})
        zendesk.add_webhook(front.url + "/webhooks/zendesk", secret=SECRET)
        github.add_repository(REPOSITORY, labels=LABELS)
        with engine.begin() as connection:
            for one in FIELDS:
                options = [{"name": label, "value": value} for value, label in one.options.items()]
                made = zendesk.add_field(one.title, one.type, custom_field_options=options)
                connection.execute(
                    sa.insert(installed).values(name=f"field_{one.key}", value=str(made["id"]), at=datetime.now(UTC))
                )
        engine.dispose()
        settings = Settings(
            database_url=f"sqlite:///{store}", secret_keys=("s" * 40,), public_url=front.url,
            zendesk_subdomain="acme", zendesk_api_base=zendesk.url, zendesk_oauth_client_id=zendesk.client_id,
            zendesk_oauth_client_secret=zendesk.client_secret, zendesk_webhook_secrets=(SECRET,),
            zendesk_app_id=str(zendesk.app_id), zendesk_installation_id=str(zendesk.installation_id),
            stripe_read_key=READ_KEY, stripe_write_key=WRITE_KEY, stripe_api_base=stripe.url,
            github_repository=REPOSITORY, github_token=github.add_token(repositories=[REPOSITORY]),
            github_api_base=github.url, github_webhook_secrets=(SECRET,),
        )  # fmt: skip
        slot = Slot(settings.database_url, folder(settings.database_url))
        slot.claim()
        yield Town(stripe, zendesk, github, front, settings, tmp_path)
        slot.release()


def test_an_installation_in_order_has_no_fault_and_no_warning(town: Town) -> None:
    report = town.report()
    assert [check for check in report.checks if check.state in {State.FAIL, State.WARN}] == []
    assert not report.failed
    assert "Working: cards, fixes and refunds, self-service, product issues." in report.summary


def test_nothing_is_changed_anywhere_by_looking(town: Town) -> None:
    town.report()
    assert [entry.effect for twin in (town.stripe, town.zendesk, town.github) for entry in twin.writes()] == []
    assert town.stripe.refunds() == []


def test_every_fault_and_every_warning_comes_with_its_mend(town: Town) -> None:
    World(town.stripe).portal_configuration(cancel=False)
    town.stripe.add_key("rk_test_poor" + "p" * 20, set())
    report = town.report(
        stripe_read_key="rk_test_poor" + "p" * 20, zendesk_app_id="1", public_url="", secret_keys=(), github_token="x"
    )
    assert all(check.fix for check in report.checks if check.state in {State.FAIL, State.WARN})


class TestStripe:
    def test_each_missing_permission_of_both_keys_is_named(self, town: Town) -> None:
        town.stripe.add_key(READ_KEY, set())
        town.stripe.add_key(WRITE_KEY, set())
        report = town.report()
        for probes, verb, key in ((READING, "Read", "STRIPE_READ_KEY"), (WRITING, "Write", "STRIPE_WRITE_KEY")):
            for probe in probes:
                check = find(report, "Stripe", f"{verb if probe.method != 'GET' else 'Read'} {probe.serves}")
                assert (check.state, probe.permission in check.evidence) == (State.FAIL, True), probe
                assert key in check.fix

    def test_one_permission_that_is_missing_is_one_fault(self, town: Town) -> None:
        town.stripe.add_key(READ_KEY, {one.permission for one in READING} - {"rak_dispute_read"})
        town.stripe.add_key(WRITE_KEY, {one.permission for one in WRITING} - {"rak_invoice_write"})
        named = [check.name for check in town.report().checks if check.state is State.FAIL]
        assert named == ["Read disputes", "Write invoices"]

    def test_what_a_key_may_do_beyond_its_need_is_named_and_nothing_is_done_with_it(self, town: Town) -> None:
        town.stripe.add_key(READ_KEY, {one.permission for one in (*READING, *SPARE)})
        town.stripe.add_key(WRITE_KEY, {one.permission for one in (*WRITING, *SPARE)})
        report = town.report()
        for name in ("Read key", "Write key"):
            check = find(report, "Stripe", name)
            assert check.state is State.WARN
            assert all(one.permission in check.evidence for one in SPARE)
        assert "rak_refund_write" not in find(report, "Stripe", "Write key").evidence
        assert town.stripe.writes() == []

    def test_stripes_webhook_endpoint_is_looked_at_once_its_secret_is_set(self, town: Town) -> None:
        reading = {one.permission for one in READING}
        address = town.front.url + "/webhooks/stripe"
        told: list[tuple[State, str]] = []

        def look(**changes: Any) -> None:
            settings = replace(town.settings, stripe_webhook_secrets=("whsec_1",), **changes)
            (check,) = stripe_webhook.endpoint(settings, Clocks(now=lambda: datetime.now(UTC)))()
            assert bool(check.fix) is (check.state is not State.OK)
            told.append((check.state, check.evidence))

        look()
        town.stripe.add_key(READ_KEY, reading | {"rak_webhook_read"})
        look()
        town.stripe.add_webhook_endpoint("https://old.example/webhooks/stripe", ["*"])
        look()
        made = town.stripe.add_webhook_endpoint(address, STRIPE_EVENTS - {"refund.failed"}, status="disabled")
        look()
        made["status"] = "enabled"
        look()
        made["enabled_events"].append("refund.failed")
        look()
        assert told == [
            (State.WARN, "not looked at: rak_webhook_read is missing from STRIPE_READ_KEY"),
            (State.FAIL, "STRIPE_WEBHOOK_SECRET is set, but there is no endpoint in this mode"),
            (State.FAIL, "its endpoint does not lead to BILLING_DESK_PUBLIC_URL"),
            (State.FAIL, "its endpoint is disabled: no event arrives"),
            (State.WARN, "not sent: refund.failed"),
            (State.OK, "enabled, 19 types"),
        ]
        assert "404" in town.check("Stripe", "Webhook", stripe_webhook_secrets=()).evidence

    def test_a_key_that_stripe_does_not_know_is_one_fault_without_its_text(self, town: Town) -> None:
        report = town.report(stripe_read_key="rk_test_gone" + "g" * 20)
        check = find(report, "Stripe", "Read key")
        assert (check.state, check.evidence) == (State.FAIL, "the credentials were rejected")
        assert [one.name for one in report.checks if one.state is State.FAIL] == ["Read key"]

    def test_no_line_shows_a_whole_key(self, town: Town) -> None:
        town.stripe.add_key(READ_KEY, set())
        shown = repr(town.report())
        assert READ_KEY not in shown
        assert WRITE_KEY not in shown
        assert masked(READ_KEY) == "rk_test_…rrrr"

    def test_keys_of_different_modes_are_a_fault(self, town: Town) -> None:
        live = town.stripe.add_key("rk_live_write" + "w" * 20, {probe.permission for probe in WRITING})
        check = town.check("Stripe", "Write key", stripe_write_key=live)
        assert check.state is State.FAIL
        assert "different modes" in check.evidence

    def test_a_full_secret_key_is_warned_about(self, town: Town) -> None:
        check = town.check("Stripe", "Read key", stripe_read_key=DEFAULT_KEY)
        assert check.state is State.WARN
        assert "full secret key" in check.evidence

    def test_a_read_key_that_may_refund_is_warned_about(self, town: Town) -> None:
        town.stripe.add_key(READ_KEY, {one.permission for one in READING} | {"rak_refund_write"})
        check = town.check("Stripe", "Read key")
        assert check.state is State.WARN
        assert "rak_refund_write" in check.evidence
        assert "rak_invoice_write" not in check.evidence

    def test_one_key_for_both_is_warned_about(self, town: Town) -> None:
        town.stripe.add_key(WRITE_KEY, {one.permission for one in (*READING, *WRITING)})
        assert town.check("Stripe", "Write key", stripe_read_key=WRITE_KEY).state is State.WARN

    @pytest.mark.parametrize(
        ("name", "off"),
        [
            ("Portal cancel", {"cancel": False}),
            ("Portal payment method", {"payment_method": False}),
            ("Portal invoices", {"invoices": False}),
            ("Portal login page", {"login_page": False}),
        ],
    )
    def test_each_portal_feature_that_is_off_is_named(self, town: Town, name: str, off: dict[str, Any]) -> None:
        town.stripe.store.objects.clear()
        World(town.stripe).portal_configuration(**off)
        report = town.report()
        assert [check.name for check in report.checks if check.state is State.FAIL] == [name]
        assert "Customer portal" in find(report, "Stripe", name).fix
        assert "Not working: self-service" in report.summary

    def test_no_portal_configuration_is_a_fault(self, town: Town) -> None:
        town.stripe.store.objects.clear()
        assert "no default configuration" in town.check("Stripe", "Customer portal").evidence

    def test_an_inactive_portal_configuration_is_a_fault(self, town: Town) -> None:
        town.stripe.store.objects.clear()
        World(town.stripe).portal_configuration()["active"] = False
        assert "not active" in town.check("Stripe", "Customer portal").evidence


class TestZendesk:
    def test_wrong_credentials_are_one_fault(self, town: Town) -> None:
        report = town.report(zendesk_oauth_client_secret="wrong-one")
        assert [check.name for check in report.checks if check.group == "Zendesk" and check.state is State.FAIL] == [
            "Credentials"
        ]
        assert "wrong-one" not in repr(report)

    def test_an_api_token_works_with_a_warning_that_names_its_end(self, town: Town) -> None:
        email_ = town.zendesk.desk.users[town.zendesk.desk.service_user]["email"]
        report = town.report(zendesk_oauth_client_id="", zendesk_email=email_, zendesk_api_token=town.zendesk.api_token)
        assert find(report, "Zendesk", "Credentials").state is State.OK
        check = find(report, "Zendesk", "API token")
        assert (check.state, "2027-04-30" in check.evidence) == (State.WARN, True)

    def test_an_anonymous_answer_is_no_success(self, town: Town) -> None:
        report = town.report(zendesk_oauth_client_id="", zendesk_email="nobody@acme.example", zendesk_api_token="x")
        assert find(report, "Zendesk", "Credentials").state is State.FAIL

    def test_a_user_who_is_no_agent_is_a_fault(self, town: Town) -> None:
        town.zendesk.desk.users[town.zendesk.desk.service_user]["role"] = "end-user"
        assert town.check("Zendesk", "Credentials").state is State.FAIL

    @pytest.mark.parametrize(
        ("scope", "name", "state"),
        [
            ("tickets:read", "Credentials", State.FAIL),
            ("tickets:write", "Scopes", State.FAIL),
            ("users:read", "Scopes", State.FAIL),
            ("webhooks:read", "Scopes", State.WARN),
            ("apps:read", "Scopes", State.WARN),
        ],
    )
    def test_each_scope_that_was_not_granted_is_named(
        self, town: Town, scope: str, name: str, state: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(zendesk_auth, "KNOWN_SCOPES", zendesk_auth.KNOWN_SCOPES - {scope})
        check = town.check("Zendesk", name)
        assert check.state is state
        assert scope in check.evidence

    def test_an_agent_who_may_not_list_webhooks_is_warned_and_not_failed(self, town: Town) -> None:
        town.zendesk.desk.users[town.zendesk.desk.service_user]["role"] = "agent"
        report = town.report()
        assert find(report, "Zendesk", "Webhook").state is State.WARN
        assert not report.failed

    @pytest.mark.parametrize(
        ("name", "says", "spoil"),
        [
            ("Webhook", "none is there", lambda twin, hook: twin.desk.webhooks.clear()),
            ("Webhook", "inactive", lambda twin, hook: hook.update(status="inactive")),
            ("Webhook", "does not deliver to", lambda twin, hook: hook.update(endpoint="https://old.example/x")),
            ("Webhook", "not subscribed", lambda twin, hook: hook.update(subscriptions=[])),
            (
                "Webhook secret",
                "not what Zendesk signs",
                lambda twin, hook: twin.desk.signing_secrets.update({hook["id"]: "o"}),
            ),
            ("Sidebar app", "is not installed", lambda twin, hook: twin.desk.installations.clear()),
            (
                "Sidebar app",
                "not enabled",
                lambda twin, hook: twin.desk.installations[twin.installation_id].update(enabled=False),
            ),
            ("App public key", "not found", lambda twin, hook: twin.desk.apps.clear()),
        ],
    )
    def test_what_is_missing_in_zendesk_is_named(
        self, town: Town, name: str, says: str, spoil: Callable[[ZendeskTwin, dict[str, Any]], object]
    ) -> None:
        spoil(town.zendesk, next(iter(town.zendesk.desk.webhooks.values())))
        check = town.check("Zendesk", name)
        assert check.state is State.FAIL
        assert says in check.evidence
        assert check.fix

    def test_a_webhook_that_waits_for_a_trigger_needs_an_active_one(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        town.zendesk.desk.webhooks.clear()
        hook = town.zendesk.add_webhook(town.front.url + "/webhooks/zendesk", secret=SECRET, kind="trigger")
        other = town.zendesk.add_trigger("01OTHER")
        trigger = town.zendesk.add_trigger(hook["id"], active=False)
        check = town.check("Zendesk", "Trigger")
        assert (check.state, check.evidence) == (State.FAIL, "no active trigger calls the webhook")
        assert "Triggers" in check.fix
        assert other["active"]
        trigger["active"] = True
        assert town.check("Zendesk", "Trigger").state is State.OK
        monkeypatch.setattr(zendesk_auth, "KNOWN_SCOPES", zendesk_auth.KNOWN_SCOPES - {"triggers:read"})
        check = town.check("Zendesk", "Trigger")
        assert (check.state, "triggers:read" in check.fix) == (State.WARN, True)

    def test_ticket_fields_that_somebody_changed_are_named_with_their_mend(self, town: Town) -> None:
        account = zendesk_access.open_account(town.settings, Clocks(now=lambda: datetime.now(UTC)), SCOPES)
        held = {field["title"]: field for field in town.zendesk.desk.fields.values()}
        bucket, confidence, gap, state = (held[one.title] for one in FIELDS)
        bucket["custom_field_options"].pop()
        confidence["active"] = False
        gap["type"] = "textarea"
        del town.zendesk.desk.fields[state["id"]]
        told = {check.evidence: check.fix for check in fields(town.settings, account)}
        assert list(told) == [
            "lacks options that we write: Billing desk: bucket",
            "deactivated: Billing desk: confidence",
            "of another type than install made it: Billing desk: product gap",
            "deleted, so not written any more: Billing desk: state",
        ]
        assert all(told.values())
        engine = database.open_engine(town.settings.database_url)
        with engine.begin() as connection:
            connection.execute(sa.delete(installed))
        engine.dispose()
        (check,) = fields(town.settings, account)
        assert (check.state, "billing-desk install" in check.fix) == (State.WARN, True)

    def test_a_foreign_public_key_is_a_fault(self, town: Town) -> None:
        pem = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"
        assert town.check("Zendesk", "App public key", zendesk_app_public_key=pem).state is State.FAIL
        own = town.zendesk.public_key_pem
        assert town.check("Zendesk", "App public key", zendesk_app_public_key=own).state is State.OK

    @pytest.mark.parametrize(("status", "says"), [(202, "accepted"), (404, "no such page"), (502, "upstream failed")])
    def test_a_forged_webhook_that_is_not_refused_is_a_fault(self, town: Town, status: int, says: str) -> None:
        town.front.status = status
        check = town.check("Zendesk", "Forged webhook")
        assert check.state is State.FAIL
        assert says in check.evidence


class TestGitHub:
    def test_a_repository_that_the_token_does_not_see_is_a_fault(self, town: Town) -> None:
        check = town.check("GitHub", "Repository", github_repository="acme/other")
        assert check.state is State.FAIL
        assert "acme/other" in check.evidence

    def test_a_public_repository_is_noted(self, town: Town) -> None:
        town.github.add_repository("acme/open", private=False, labels=LABELS)
        check = town.check("GitHub", "Repository", github_repository="acme/open", github_token=town.github.add_token())
        assert (check.state, "public" in check.evidence) == (State.OK, True)

    def test_issues_that_are_switched_off_are_a_fault(self, town: Town) -> None:
        town.github.add_repository(REPOSITORY, has_issues=False)
        assert town.check("GitHub", "Issues").state is State.FAIL

    def test_without_the_secret_of_its_webhook_closed_issues_are_noticed_late(self, town: Town) -> None:
        check = town.check("GitHub", "Webhook secret", github_webhook_secrets=())
        assert (check.state, "GITHUB_WEBHOOK_SECRET" in check.evidence) == (State.WARN, True)
        assert f"{town.front.url}/webhooks/github" in check.fix

    def test_an_archived_repository_is_a_fault(self, town: Town) -> None:
        town.github.add_repository(REPOSITORY, archived=True)
        assert "archived" in town.check("GitHub", "Repository").evidence

    def test_a_token_that_only_reads_issues_is_a_fault_that_names_the_permission(self, town: Town) -> None:
        token = town.github.add_token(repositories=[REPOSITORY], permissions={"issues": "read"})
        check = town.check("GitHub", "Permission", github_token=token)
        assert check.state is State.FAIL
        assert "issues: write" in check.evidence

    def test_missing_labels_are_only_a_warning_because_filing_makes_them(self, town: Town) -> None:
        town.github.add_repository(REPOSITORY, labels=LABELS[:1])
        check = town.check("GitHub", "Labels")
        assert check.state is State.WARN
        assert LABELS[1] in check.evidence

    def test_an_app_is_checked_as_well_as_a_token(self, town: Town) -> None:
        number = town.github.add_installation([REPOSITORY])
        report = town.report(
            github_token="", github_app_id=str(town.github.app["id"]), github_app_installation_id=str(number),
            github_app_private_key=town.github.app_private_key,
        )  # fmt: skip
        assert states(report, "GitHub") == {State.OK}


class TestServer:
    def test_an_empty_store_names_migrate(self, town: Town) -> None:
        check = town.check("Server", "Store", database_url=f"sqlite:///{town.folder / 'none.db'}")
        assert (check.state, "billing-desk migrate" in check.fix) == (State.FAIL, True)
        assert not (town.folder / "none.db").exists()

    def test_a_database_that_is_away_is_a_fault(self, town: Town) -> None:
        check = town.check("Server", "Store", database_url="postgresql://desk@127.0.0.1:1/desk")
        assert (check.state, check.evidence) == (State.FAIL, "PostgreSQL does not answer")

    @pytest.mark.parametrize(
        ("ahead", "state"), [(1, State.OK), (60, State.WARN), (-60, State.WARN), (600, State.FAIL), (-600, State.FAIL)]
    )
    def test_a_clock_that_is_off_is_told_from_the_answers(self, town: Town, ahead: int, state: State) -> None:
        town.github.ahead = timedelta(seconds=ahead)
        assert town.check("Server", "Clock").state is state

    def test_secrets_that_everybody_can_read_are_warned_about(self, town: Town) -> None:
        (town.folder / "desk.db").chmod(0o644)
        secret = town.folder / "secret"
        secret.write_text("x")
        secret.chmod(0o644)
        question = Question(settings=town.settings, environment={"STRIPE_READ_KEY_FILE": str(secret)})
        check = find(examine(question), "Server", "Secret files")
        assert check.state is State.WARN
        assert "STRIPE_READ_KEY_FILE" in check.evidence
        assert "desk.db" in check.evidence

    def test_what_serve_needs_and_lacks_is_named(self, town: Town) -> None:
        check = town.check("Server", "Settings", secret_keys=(), zendesk_webhook_secrets=())
        assert check.state is State.FAIL
        assert "BILLING_DESK_SECRET_KEY, ZENDESK_WEBHOOK_SECRET" in check.evidence

    def test_without_a_worker_nothing_is_done_and_that_is_a_fault(self, town: Town) -> None:
        other = town.folder / "other.db"
        (town.folder / "desk.db").rename(other)
        check = town.check("Server", "Worker", database_url=f"sqlite:///{other}")
        assert (check.state, check.fix) == (State.FAIL, "Start billing-desk serve.")
        assert "none is running" in check.evidence

    def test_work_that_waits_too_long_is_warned_about(self, town: Town) -> None:
        engine = database.open_engine(town.settings.database_url)
        long_ago = datetime.now(UTC) - timedelta(minutes=10)
        with engine.begin() as connection:
            connection.execute(
                sa.insert(card).values(
                    ticket_id=1, version=1, requests=1, state="enriching", requested_at=long_ago, updated_at=long_ago
                )
            )
        engine.dispose()
        check = town.check("Server", "Worker")
        assert (check.state, check.evidence) == (State.WARN, "1 running, oldest job 600 s")

    def test_workers_on_postgresql_are_counted_by_their_locks(self, postgres_database: str) -> None:
        assert live(postgres_database) == 0
        slots = [Slot(postgres_database, Path()) for _ in range(2)]
        assert [slot.claim() for slot in slots] == ["slot-0", "slot-1"]
        assert live(postgres_database) == 2
        for slot in slots:
            slot.release()


class TestThePublicAddress:
    @pytest.mark.parametrize(("days", "state"), [(90, State.OK), (5, State.WARN)])
    def test_a_certificate_is_told_with_its_days(self, days: int, state: State) -> None:
        (check,) = self.ask(datetime.now(UTC) + timedelta(days=days), trusted=True)
        assert check.state is state
        assert f"good for {days} days" in check.evidence
        assert bool(check.fix) is (state is State.WARN)

    def test_a_certificate_that_nobody_trusts_is_a_fault(self) -> None:
        (check,) = self.ask(datetime.now(UTC) + timedelta(days=90), trusted=False)
        assert (check.state, "not trusted" in check.evidence) == (State.FAIL, True)
        assert "whole chain" in check.fix

    def test_an_address_where_nobody_answers_is_a_fault(self, town: Town) -> None:
        settings = replace(town.settings, public_url="https://127.0.0.1:1")
        (check,) = certificate(settings)()
        assert (check.state, check.evidence) == (State.FAIL, "does not answer")

    def ask(self, ends: datetime, *, trusted: bool) -> Sequence[Check]:
        authority, client = trustme.CA(), ssl.create_default_context()
        leaf = authority.issue_cert("localhost", not_after=ends + timedelta(minutes=5))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(server)
        if trusted:
            authority.configure_trust(client)
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), server.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(1)

            thread = threading.Thread(target=answer)
            thread.start()
            settings = Settings(public_url=f"https://localhost:{listener.getsockname()[1]}")
            found = certificate(settings, client)()
            thread.join()
        return found


class TestOneInTheWayOfAnother:
    def test_what_is_not_configured_is_skipped_with_what_it_would_enable(self, town: Town) -> None:
        report = examine(Question(settings=Settings(database_url=town.settings.database_url)))
        for group in ("Zendesk", "Stripe", "GitHub"):
            assert states(report, group) == {State.SKIP}
        assert all("enable" in check.evidence for check in report.checks if check.group != "Server")

    def test_without_a_write_key_only_fixes_are_skipped(self, town: Town) -> None:
        report = town.report(stripe_write_key="")
        assert find(report, "Stripe", "Write key").state is State.SKIP
        assert not report.failed
        assert "Not set up: fixes and refunds" in report.summary

    @pytest.mark.parametrize("service", ["stripe", "zendesk", "github"])
    def test_an_upstream_that_is_away_is_a_fault_of_its_own_group_only(self, town: Town, service: str) -> None:
        twin: Twin = getattr(town, service)
        twin.stop()
        report = town.report()
        failing = {check.group.lower() for check in report.checks if check.state is State.FAIL}
        assert failing == {service}
        assert any("did not answer" in check.evidence for check in report.checks)

    def test_upstreams_that_hang_are_waited_for_no_longer_than_the_bound(self, town: Town) -> None:
        for twin in (town.stripe, town.zendesk, town.github, town.front):
            twin.faults.add("hang_before", times=None)
        started = time.monotonic()
        report = town.report(seconds=0.4)
        assert time.monotonic() - started < 3
        assert all(State.FAIL in states(report, group) for group in ("Zendesk", "Stripe", "GitHub"))
        assert find(report, "Server", "Store").state is State.OK

    @pytest.mark.parametrize("kind", ["html_200", "bad_json", "json_null", "json_list", "redirect", "rate_limited"])
    def test_strange_answers_are_faults_and_never_a_crash(self, town: Town, kind: str) -> None:
        for twin in (town.stripe, town.zendesk, town.github):
            twin.faults.add(kind, times=None)
        report = town.report()
        assert all(State.FAIL in states(report, group) for group in ("Zendesk", "Stripe", "GitHub"))
        assert all(check.fix for check in report.checks if check.state is State.FAIL)


def test_a_check_that_breaks_is_a_fault_and_the_others_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    good = late("Server", "Store", 1.0)

    def broken() -> list[Check]:
        raise KeyError("personal")

    found = gather(
        [Inquiry(ask=broken, stands_for=late("Stripe", "Read key", 1.0)), Inquiry(ask=lambda: [good], stands_for=good)],
        5.0,
    )
    assert [(check.name, check.state) for check in found] == [("Read key", State.FAIL), ("Store", State.FAIL)]
    assert found[0].evidence == "the check itself broke (KeyError)"
    assert "personal" not in capsys.readouterr().err


class TestTheCommand:
    @pytest.fixture
    def environment(self, town: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(town.folder)
        settings = town.settings
        for name, value in {
            "DATABASE_URL": settings.database_url, "BILLING_DESK_SECRET_KEY": settings.secret_keys[0],
            "BILLING_DESK_PUBLIC_URL": settings.public_url, "ZENDESK_SUBDOMAIN": "acme",
            "ZENDESK_API_BASE": settings.zendesk_api_base,
            "ZENDESK_OAUTH_CLIENT_ID": settings.zendesk_oauth_client_id,
            "ZENDESK_OAUTH_CLIENT_SECRET": settings.zendesk_oauth_client_secret, "ZENDESK_WEBHOOK_SECRET": SECRET,
            "ZENDESK_APP_ID": settings.zendesk_app_id, "STRIPE_READ_KEY": READ_KEY, "STRIPE_WRITE_KEY": WRITE_KEY,
            "STRIPE_API_BASE": settings.stripe_api_base, "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_TOKEN": settings.github_token, "GITHUB_API_BASE": settings.github_api_base,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        return town

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(doctor, list(arguments))

    def test_warnings_alone_are_zero(self, environment: Town) -> None:
        result = self.run()
        assert result.exit_code == 0
        assert "  warn  Labels" in result.output
        assert result.output.splitlines()[-1].endswith(".")

    def test_a_fault_is_one_and_followed_by_its_mend(self, environment: Town) -> None:
        environment.stripe.add_key(WRITE_KEY, {one.permission for one in WRITING} - {"rak_refund_write"})
        result = self.run()
        assert result.exit_code == 1
        lines = result.output.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("  FAIL  Write refunds"))
        assert any("fix:" in line for line in lines[at : at + 3])

    def test_one_part_can_be_looked_at_alone(self, environment: Town) -> None:
        result = self.run("--only", "github")
        assert result.output.splitlines()[0] == f"GitHub    {REPOSITORY}"
        assert "Stripe" not in result.output
        assert environment.stripe.wire == environment.zendesk.wire == []

    def test_no_line_is_wider_than_eighty_columns(self, environment: Town) -> None:
        environment.zendesk.stop()
        environment.stripe.add_key(READ_KEY, set())
        assert max(len(line) for line in self.run().output.splitlines()) <= 80

    def test_the_portal_is_switched_on_when_asked_and_looked_at_again(self, environment: Town) -> None:
        environment.stripe.store.objects.clear()
        World(environment.stripe).portal_configuration(cancel=False, invoices=False, login_page=False)
        assert self.run().exit_code == 1
        result = self.run("--fix", "portal")
        assert result.exit_code == 0, result.output
        assert "invoices and login page are on" in result.stderr
        assert "FAIL" not in result.stdout
        assert str(environment.stripe.writes()[0].effect).startswith("updated portal configuration")

    def test_a_portal_that_only_the_dashboard_can_make_is_said_in_one_line(self, environment: Town) -> None:
        environment.stripe.store.objects.clear()
        result = self.run("--fix", "portal")
        assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
        assert "Customer portal > Save" in result.output

    def test_a_write_key_without_the_portal_is_named(self, environment: Town) -> None:
        environment.stripe.add_key(WRITE_KEY, {one.permission for one in WRITING} - {"rak_customer_portal_write"})
        result = self.run("--fix", "portal")
        assert result.exit_code == 2
        assert "rak_customer_portal_write" in result.output

    def test_the_link_to_the_page_is_printed_and_nobody_asked(self, environment: Town) -> None:
        result = self.run("--link")
        assert result.exit_code == 0
        assert result.stdout.startswith(f"{environment.settings.public_url}/setup?sig=")
        assert environment.stripe.wire == []

    def test_json_holds_the_same_and_nothing_else(self, environment: Town) -> None:
        document = json.loads(self.run("--json").stdout)
        assert set(document) == {"checks", "summary"}
        assert {key for check in document["checks"] for key in check} == {"group", "name", "state", "evidence", "fix"}
        assert {check["state"] for check in document["checks"]} <= {"ok", "warn", "FAIL", "skip"}

    def test_a_wrong_setting_is_two_and_one_line(self, environment: Town, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STRIPE_READ_KEY", "pk_test_1")
        result = self.run()
        assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
        assert "STRIPE_READ_KEY" in result.output

    def test_a_wrong_policy_is_two_and_one_line(self, environment: Town, monkeypatch: pytest.MonkeyPatch) -> None:
        (environment.folder / "policy.toml").write_text("[refunds]\nwindow = 3\n")
        monkeypatch.setenv("BILLING_DESK_POLICY", str(environment.folder / "policy.toml"))
        assert self.run().exit_code == 2
