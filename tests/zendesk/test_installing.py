"""Does `install` bring Zendesk to where it must be, once, and say in one sentence why it cannot?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from integrations.checks.expected import FIELDS, SETUP_SCOPES
from integrations.http import Door
from integrations.settings import NAMES
from integrations.store import database
from integrations.store.tables import installed
from integrations.twins.zendesk_twin import ZendeskTwin
from integrations.zendesk_client import OAuthClient, ZendeskClient
from zendesk import setup_commands
from zendesk.installing import Installing, NotInstalled

PUBLIC_URL = "https://billing.acme.example"


@pytest.fixture
def twin() -> Iterator[ZendeskTwin]:
    with ZendeskTwin() as started:
        yield started


@pytest.fixture
def account(twin: ZendeskTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of an installation with an empty store; the store's file."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "desk.db"
    for name, value in {
        "DATABASE_URL": f"sqlite:///{store}",
        "BILLING_DESK_PUBLIC_URL": PUBLIC_URL,
        "ZENDESK_SUBDOMAIN": "acme",
        "ZENDESK_API_BASE": twin.url,
        "ZENDESK_OAUTH_CLIENT_ID": twin.client_id,
        "ZENDESK_OAUTH_CLIENT_SECRET": twin.client_secret,
    }.items():
        monkeypatch.setenv(name, value)
    engine = database.open_engine(f"sqlite:///{store}")
    database.upgrade(engine)
    engine.dispose()
    return store


def install(*arguments: str) -> Result:
    return CliRunner().invoke(setup_commands.install, list(arguments))


def rows(store: Path) -> dict[str, str]:
    engine = database.open_engine(f"sqlite:///{store}")
    with engine.connect() as connection:
        held = {row.name: row.value for row in connection.execute(sa.select(installed))}
    engine.dispose()
    return held


def effects(twin: ZendeskTwin) -> list[str]:
    return [str(entry.effect) for entry in twin.writes()]


def settings_of(result: Result) -> dict[str, str]:
    return dict(line.split("=", 1) for line in result.stdout.splitlines())


@pytest.mark.usefixtures("account")
class TestAFirstRun:
    def test_it_makes_a_signed_webhook_for_new_tickets(self, twin: ZendeskTwin) -> None:
        result = install()
        assert result.exit_code == 0
        (webhook,) = twin.desk.webhooks.values()
        assert webhook["endpoint"] == PUBLIC_URL + "/webhooks/zendesk"
        assert webhook["subscriptions"] == ["zen:event-type:ticket.created"]
        assert webhook["status"] == "active"
        assert settings_of(result)["ZENDESK_WEBHOOK_SECRET"] == twin.desk.signing_secrets[webhook["id"]]

    def test_it_makes_the_ticket_fields_with_options_of_our_own_name(self, twin: ZendeskTwin) -> None:
        install()
        made = {field["title"]: field for field in twin.desk.fields.values()}
        assert {field.title for field in FIELDS} <= set(made)
        assert made["Billing desk: product gap"]["type"] == "text"
        values = [option["value"] for option in made["Billing desk: bucket"]["custom_field_options"]]
        assert "billing_duplicate_subscription" in values
        assert all(value.startswith("billing_") for value in values)

    def test_it_uploads_the_app_and_installs_it_with_our_address(self, twin: ZendeskTwin) -> None:
        twin.desk.apps.clear()
        twin.desk.installations.clear()
        settings = settings_of(install())
        (installation,) = twin.desk.installations.values()
        assert installation["settings"]["sidecar_url"] == PUBLIC_URL
        assert installation["enabled"] is True
        assert settings["ZENDESK_INSTALLATION_ID"] == str(installation["id"])
        assert settings["ZENDESK_APP_ID"] == str(installation["app_id"])

    def test_it_takes_over_an_app_of_our_name_and_gives_it_our_address(self, twin: ZendeskTwin) -> None:
        assert settings_of(install())["ZENDESK_APP_ID"] == str(twin.app_id)
        assert list(twin.desk.apps) == [twin.app_id]
        assert twin.desk.installations[twin.installation_id]["settings"]["sidecar_url"] == PUBLIC_URL

    def test_its_output_can_be_put_into_the_env_file_as_it_is(self, twin: ZendeskTwin) -> None:
        settings = settings_of(install())
        assert set(settings) <= set(NAMES)
        assert settings["ZENDESK_APP_PUBLIC_KEY"].replace("\\n", "\n") == twin.public_key_pem.strip()


def test_the_ids_are_kept_in_the_store(account: Path, twin: ZendeskTwin) -> None:
    install()
    held = rows(account)
    (webhook,) = twin.desk.webhooks
    assert held["webhook_id"] == webhook
    assert held["app_id"] == str(twin.app_id)
    assert held["installation_id"] == str(twin.installation_id)
    assert {f"field_{field.key}" for field in FIELDS} <= set(held)
    assert not any(value in held.values() for value in twin.desk.signing_secrets.values())


@pytest.mark.usefixtures("account")
class TestASecondRun:
    def test_it_changes_nothing_and_says_the_same(self, twin: ZendeskTwin) -> None:
        first = install()
        before = len(effects(twin))
        second = install()
        assert effects(twin)[before:] == []
        assert second.stdout == first.stdout
        assert "nothing was changed" in second.stderr

    def test_it_mends_a_webhook_that_was_switched_off(self, twin: ZendeskTwin) -> None:
        install()
        (webhook,) = twin.desk.webhooks.values()
        webhook["status"] = "inactive"
        assert install().exit_code == 0
        assert webhook["status"] == "active"
        assert len(twin.desk.webhooks) == 1

    def test_it_follows_a_new_address(self, twin: ZendeskTwin, monkeypatch: pytest.MonkeyPatch) -> None:
        install()
        monkeypatch.setenv("BILLING_DESK_PUBLIC_URL", "https://new.acme.example")
        install()
        (webhook,) = twin.desk.webhooks.values()
        assert webhook["endpoint"] == "https://new.acme.example/webhooks/zendesk"
        (installation,) = twin.desk.installations.values()
        assert installation["settings"]["sidecar_url"] == "https://new.acme.example"

    def test_it_uploads_again_only_when_the_app_is_gone(self, twin: ZendeskTwin) -> None:
        install()
        twin.desk.apps.clear()
        twin.desk.installations.clear()
        before = len(effects(twin))
        assert install().exit_code == 0
        assert [effect.split()[0] for effect in effects(twin)[before:]] == ["app", "app", "installation"]

    def test_a_webhook_that_a_trigger_uses_keeps_its_kind(self, twin: ZendeskTwin) -> None:
        twin.add_webhook(PUBLIC_URL + "/webhooks/zendesk", kind="trigger")
        assert install().exit_code == 0
        (webhook,) = twin.desk.webhooks.values()
        assert webhook["subscriptions"] == ["conditional_ticket_events"]


@pytest.mark.usefixtures("account")
class TestBesideAnotherInstallation:
    def test_a_webhook_that_serves_another_address_is_left_alone_unless_asked(self, twin: ZendeskTwin) -> None:
        theirs = twin.add_webhook("https://staging.acme.example/webhooks/zendesk")
        result = install()
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert "staging.acme.example" in result.stderr
        assert effects(twin) == []
        assert install("--take-over").exit_code == 0
        assert twin.desk.webhooks[theirs["id"]]["endpoint"] == PUBLIC_URL + "/webhooks/zendesk"

    def test_an_app_that_serves_another_address_is_left_alone_unless_asked(self, twin: ZendeskTwin) -> None:
        settings = twin.desk.installations[twin.installation_id]["settings"]
        settings["sidecar_url"] = "https://staging.acme.example"
        assert install().exit_code == 1
        assert effects(twin) == []
        assert install("--take-over").exit_code == 0
        assert twin.desk.installations[twin.installation_id]["settings"]["sidecar_url"] == PUBLIC_URL


@pytest.mark.usefixtures("account")
class TestWhoSeesTheApp:
    def test_roles_and_groups_are_set_when_named_and_left_alone_when_not(self, twin: ZendeskTwin) -> None:
        group = twin.add_group("Billing")["id"]
        assert install("--role", "360001", "--group", str(group)).exit_code == 0
        installation = twin.desk.installations[twin.installation_id]
        assert (installation["role_restrictions"], installation["group_restrictions"]) == ([360001], [group])
        before = len(effects(twin))
        assert "nothing was changed" in install("--role", "360001", "--group", str(group)).stderr
        assert "nothing was changed" in install().stderr
        assert effects(twin)[before:] == []
        assert installation["group_restrictions"] == [group]

    def test_a_new_installation_is_restricted_from_its_first_moment(self, twin: ZendeskTwin) -> None:
        twin.desk.apps.clear()
        twin.desk.installations.clear()
        group = twin.add_group("Billing")["id"]
        assert install("--group", str(group)).exit_code == 0
        (installation,) = twin.desk.installations.values()
        assert installation["group_restrictions"] == [group]
        assert not any("changed" in effect for effect in effects(twin))

    def test_a_group_that_zendesk_does_not_know_is_one_sentence(self) -> None:
        result = install("--group", "77")
        assert (result.exit_code, "Zendesk refused" in result.stderr) == (1, True)


@pytest.mark.usefixtures("account")
class TestUninstalling:
    def uninstall(self, *arguments: str) -> Result:
        return CliRunner().invoke(setup_commands.uninstall, list(arguments))

    def test_it_only_lists_until_it_is_told_to(self, twin: ZendeskTwin, account: Path) -> None:
        install()
        before = len(effects(twin))
        result = self.uninstall()
        assert result.exit_code == 0
        assert set(result.stdout.split("\n")) >= {
            f"app {twin.app_id}", f"installation {twin.installation_id}", f"webhook {rows(account)['webhook_id']}",
        }  # fmt: skip
        assert "--yes" in result.stderr
        assert effects(twin)[before:] == []

    def test_it_removes_what_was_installed_and_nothing_of_anybody_else(self, twin: ZendeskTwin, account: Path) -> None:
        theirs = twin.add_webhook("https://other.example/hook", name="Statistics")
        install()
        ours = {int(value) for name, value in rows(account).items() if name.startswith("field_")}
        assert ours <= set(twin.desk.fields)
        result = self.uninstall("--yes")
        assert result.exit_code == 0, result.output
        assert list(twin.desk.webhooks) == [theirs["id"]]
        assert not ours & set(twin.desk.fields)
        assert (dict(twin.desk.apps), dict(twin.desk.installations)) == ({}, {})
        assert {name for name in rows(account) if name != "app_package"} == set()

    def test_what_somebody_removed_by_hand_is_no_obstacle_and_a_second_run_has_nothing_to_do(
        self, twin: ZendeskTwin
    ) -> None:
        install()
        twin.desk.webhooks.clear()
        assert "was gone already" in self.uninstall("--yes").stdout
        before = len(twin.wire)
        assert "nothing to remove" in self.uninstall().stderr
        assert len(twin.wire) == before

    def test_a_run_that_broke_off_is_continued(self, twin: ZendeskTwin, account: Path) -> None:
        install()
        twin.faults.add("status", path=r"/api/v2/webhooks/.*", status=500, times=1)
        assert self.uninstall("--yes").exit_code == 3
        assert "webhook_id" in rows(account)
        assert "app_id" not in rows(account)
        assert self.uninstall("--yes").exit_code == 0
        assert rows(account) == {}

    def test_after_it_a_fresh_install_works(self, twin: ZendeskTwin) -> None:
        install()
        self.uninstall("--yes")
        assert install().exit_code == 0
        assert len(twin.desk.webhooks) == 1


class TestWhatStopsIt:
    @pytest.mark.usefixtures("account")
    @pytest.mark.parametrize(
        ("name", "says"),
        [("BILLING_DESK_PUBLIC_URL", "BILLING_DESK_PUBLIC_URL is not set"), ("ZENDESK_OAUTH_CLIENT_ID", "are not set")],
    )
    def test_a_missing_setting_is_one_sentence_before_anything_is_asked(
        self, name: str, says: str, twin: ZendeskTwin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(name)
        result = install()
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert says in result.stderr
        assert twin.wire == []

    @pytest.mark.usefixtures("account")
    def test_an_agents_credentials_are_not_enough(self, twin: ZendeskTwin) -> None:
        twin.desk.users[twin.desk.service_user]["role"] = "agent"
        result = install()
        assert result.exit_code == 2
        assert "admin" in result.stderr
        assert effects(twin) == []

    @pytest.mark.usefixtures("account")
    def test_a_wrong_secret_is_named_and_not_printed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZENDESK_OAUTH_CLIENT_SECRET", "wrong-one")
        result = install()
        assert result.exit_code == 2
        assert "rejects the credentials" in result.stderr
        assert "wrong-one" not in result.output

    @pytest.mark.usefixtures("account")
    def test_an_upstream_that_breaks_is_three(self, twin: ZendeskTwin) -> None:
        twin.faults.add("html_502", path="/oauth/tokens", times=None)
        result = install()
        assert result.exit_code == 3
        assert "did not answer" in result.stderr

    def test_an_empty_store_names_the_command_that_fills_it(self, account: Path, twin: ZendeskTwin) -> None:
        account.unlink()
        result = install()
        assert result.exit_code == 2
        assert "billing-desk migrate" in result.stderr
        assert effects(twin) == []


@pytest.mark.parametrize(("status", "says"), [("failed", "did not take"), ("queued", "still works")])
def test_a_package_that_zendesk_does_not_finish_is_told_and_not_waited_for_ever(
    status: str, says: str, twin: ZendeskTwin, account: Path
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        for job in twin.desk.jobs.values():
            job["status"] = status

    engine = database.open_engine(f"sqlite:///{account}")
    credentials = OAuthClient(client_id=twin.client_id, client_secret=twin.client_secret, scopes=SETUP_SCOPES)
    client = ZendeskClient(Door("zendesk", twin.url, total_seconds=5.0), credentials)
    with pytest.raises(NotInstalled, match=says):
        Installing(client, engine, public_url=PUBLIC_URL, sleep=sleep).run()
    engine.dispose()
    assert sum(slept) <= 125
