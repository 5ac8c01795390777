"""The composition root: settings -> clients -> store -> use cases -> web application and command line."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click
import sqlalchemy as sa
from flask import Flask

from integrations import correlation, jobs, metrics, slots, telemetry
from integrations.checks.zendesk_access import TOKENS_END
from integrations.settings import Settings, SettingsError, read_settings, require
from integrations.store import cards, database
from integrations.twins.demo_world import seed
from integrations.twins.github_twin import GitHubTwin
from integrations.twins.stripe_twin import DEFAULT_KEY, StripeTwin
from integrations.twins.workspace import Workspace
from integrations.twins.zendesk_twin import ZendeskTwin
from zendesk import (
    audit_head,
    exporting,
    gap_news,
    gap_webhook,
    gaps_page,
    in_step,
    metrics_page,
    openapi,
    retention,
    setup_page,
    sidebar,
    stripe_events,
    webhook,
)
from zendesk.agreement import agreement
from zendesk.applying import Applying
from zendesk.backtest import backtest
from zendesk.commands import UPSTREAM, USAGE, Stop, audit, diagnose, end, gaps, replay
from zendesk.desk import Desk
from zendesk.enrichment import Enriching
from zendesk.following import Following
from zendesk.gaps import GapFiling
from zendesk.opening import open_desk, public_keys
from zendesk.restoring import ALIVE, BEAT_SECONDS, Restoring
from zendesk.serving import PortTaken, free_port, serve, serve_beside
from zendesk.setup_commands import doctor, install, package, uninstall
from zendesk.signatures import Launch, PageTokens
from zendesk.upkeep import Task, Upkeep
from zendesk.upkeep_commands import parked, redact
from zendesk.web import Readiness, create_app

SERVING = (
    "BILLING_DESK_SECRET_KEY", "ZENDESK_SUBDOMAIN", "ZENDESK_OAUTH_CLIENT_ID", "ZENDESK_WEBHOOK_SECRET",
    "STRIPE_READ_KEY",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Everything one process needs."""

    settings: Settings
    desk: Desk
    engine: sa.Engine

    def worker(self) -> jobs.Worker:
        """The background work of this process; not started."""
        restoring = Restoring(self.desk, Applying(self.desk).turn)
        upkeep = Upkeep(tasks(self.desk)).also(ALIVE, Task(every_seconds=BEAT_SECONDS, run=restoring.beat))
        handlers: dict[str, jobs.Handler] = {
            "enrich": metrics.timed("card_seconds", Enriching(self.desk).turn),
            "apply": in_step.after(self.desk, restoring.turn, in_step.ticket_of_approval),
            "follow": in_step.after(self.desk, Following(self.desk).turn, in_step.ticket_of_action),
            "gap": in_step.after(self.desk, GapFiling(self.desk).turn, in_step.ticket_of_action),
            "tidy": upkeep.turn,
        }
        named = {queue: correlation.job(queue, handler) for queue, handler in handlers.items()}
        return jobs.Worker(
            self.engine, self.settings.database_url, named, state=slots.folder(self.settings.database_url),
            periodic=upkeep.periods,
        )  # fmt: skip

    def web(self, *, origin: str | None = None, sdk_url: str = sidebar.SDK) -> Flask:
        """The web application. `origin`: who may frame the sidebar, Zendesk by default."""
        settings, desk = self.settings, self.desk
        launch = Launch(
            subdomain=settings.zendesk_subdomain,
            installation_id=settings.zendesk_installation_id,
            public_keys=public_keys(settings, desk.zendesk),
        )
        frame = sidebar.Frame(origin=origin or settings.zendesk_origin, launch=launch, sdk_url=sdk_url)
        tokens = PageTokens(settings.secret_keys, settings.zendesk_subdomain)
        parts = urlsplit(sdk_url)
        return create_app(
            [
                webhook.blueprint(desk),
                stripe_events.blueprint(desk),
                sidebar.blueprint(desk, frame, tokens),
                gap_webhook.blueprint(desk),
                gaps_page.blueprint(desk, tokens),
                setup_page.blueprint(desk, tokens),
                metrics_page.blueprint(self.engine, desk.now, settings.metrics_token),
                openapi.blueprint(),
            ],
            ready=lambda: _readiness(self.engine, self.desk.now),
            frame_ancestors=frame.origin,
            sdk_origin=f"{parts.scheme}://{parts.netloc}",
        )

    def probes(self) -> Flask:
        """What a worker shows of itself: health, readiness and its own figures."""
        shown = metrics_page.blueprint(self.engine, self.desk.now, self.settings.metrics_token)
        return create_app(
            [shown], ready=lambda: _readiness(self.engine, self.desk.now), frame_ancestors="'none'", sdk_origin=""
        )


def build(settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Product:
    """Wire everything together. Raises SettingsError; opens no connection but the database's pool."""
    telemetry.configure(settings)
    desk = open_desk(settings, now)
    return Product(settings=settings, desk=desk, engine=desk.engine)


def tasks(desk: Desk) -> dict[str, Task]:
    """What goes on by itself."""
    day = 24 * 3600.0
    found = {
        "retention": Task(every_seconds=day, run=lambda: retention.prune(desk)),
        "runs": Task(every_seconds=day, run=lambda: retention.prune_runs(desk)),
        "audit_head": Task(every_seconds=day, run=lambda: audit_head.keep(desk)),
    }
    if desk.filing is not None and not desk.policy.dry_run:
        found["github"] = Task(every_seconds=gap_news.POLL_SECONDS, run=gap_news.GapNews(desk).poll)
    if desk.settings.zendesk:
        found["export"] = Task(every_seconds=exporting.EVERY_SECONDS, run=lambda: exporting.catch_missed(desk))
    return found


def migrate(settings: Settings) -> None:
    """Bring the store to this version; safe to repeat."""
    engine = database.open_engine(settings.database_url)
    try:
        database.upgrade(engine)
        jobs.migrate(engine, settings.database_url)
        if settings.sqlite:
            Path(settings.database_url.removeprefix("sqlite:///")).chmod(0o600)
    finally:
        engine.dispose()


def _readiness(engine: sa.Engine, now: Callable[[], datetime]) -> Readiness:
    try:
        database.check_schema(engine)
        with engine.connect() as connection:
            return Readiness(worker_age=metrics.worker_age_seconds(connection, now()))
    except database.SchemaMismatch:
        return Readiness(failing=("schema",))
    except sa.exc.SQLAlchemyError:
        return Readiness(failing=("store",))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package_name="billing-desk")
@click.pass_context
def cli(context: click.Context) -> None:
    """billing-desk: from a billing ticket to an approved fix."""
    context.obj = lambda: _desk(str(context.invoked_subcommand))


@cli.command(name="migrate", help="Bring the store's schema to this version; safe to repeat.")
def migrate_command() -> None:
    settings = _settings()
    with _store_errors():
        migrate(settings)
    click.echo("The store is at this version's schema.")


@cli.command(name="serve", help="Run the web process; on SQLite it does the background work too.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default=16, show_default=True, type=click.IntRange(1, 256), help="web threads")
def serve_command(host: str, port: int, workers: int) -> None:
    product = build(_settings(*SERVING))
    with _store_errors():
        database.check_schema(product.engine)
    if product.settings.sqlite and not slots.alone(product.settings.database_url):
        raise Stop("Another billing-desk serves this SQLite file: stop it, or use PostgreSQL.", USAGE)
    worker = product.worker() if product.settings.sqlite else None

    def start() -> None:
        if worker is not None:
            worker.start()
        click.echo(f"billing-desk listens on http://{host}:{port}", err=True)

    def stop(seconds: int) -> None:
        if worker is not None:
            worker.stop(seconds=seconds)

    try:
        serve(product.web(), host, port, workers, on_start=start, on_stop=stop)
    except PortTaken as taken:
        raise Stop(str(taken), USAGE) from taken


@cli.command(name="worker", help="Do background work only; any number of them, on PostgreSQL.")
@click.option("--probe-host", default="127.0.0.1", show_default=True)
@click.option("--probe-port", type=click.IntRange(1, 65535), help="show /healthz, /readyz and /metrics here")
def worker_command(probe_host: str, probe_port: int | None) -> None:
    settings = _settings(*SERVING)
    if settings.sqlite:
        raise Stop("Workers need PostgreSQL. On SQLite, billing-desk serve does the work.", USAGE)
    product = build(settings)
    with _store_errors():
        database.check_schema(product.engine)
    worker, leaving = product.worker(), threading.Event()
    if probe_port is not None:
        try:
            serve_beside(product.probes(), probe_host, probe_port)
        except PortTaken as taken:
            raise Stop(str(taken), USAGE) from taken
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    worker.start()
    click.echo("billing-desk worker is running", err=True)
    leaving.wait()
    worker.stop()
    os._exit(0)


@cli.command(name="demo", help="Try everything on this machine: twins of Stripe, Zendesk and GitHub, no keys.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="of the workspace; 0 takes a free one")
def demo_command(port: int) -> None:
    real = [name for name in ("STRIPE_READ_KEY", "STRIPE_WRITE_KEY") if "_live_" in os.environ.get(name, "")]
    if real:
        raise Stop(f"{real[0]} holds a live key. Unset it, then start the demo again.", USAGE)
    with tempfile.TemporaryDirectory(prefix="billing-desk-demo-") as folder:
        try:
            _run_demo(Path(folder), port)
        except OSError as error:
            raise Stop(f"The workspace could not listen on port {port}: choose another --port.", USAGE) from error


def _run_demo(folder: Path, port: int) -> None:
    with StripeTwin(check_responses=False) as stripe, ZendeskTwin() as zendesk, GitHubTwin() as github:
        world = seed(stripe, zendesk, github, now=zendesk.now())
        with Workspace(stripe, zendesk, github, world=world, port=port) as workspace:
            settings = _demo_settings(folder, workspace)
            migrate(settings)
            product = build(settings)
            worker = product.worker()
            worker.start()
            workspace.product_url = f"http://127.0.0.1:{free_port()}"
            workspace.on_reset = lambda: cards.forget_everything(product.engine)
            zendesk.add_webhook(workspace.product_url + "/webhooks/zendesk", secret=settings.zendesk_webhook_secrets[0])
            web = product.web(origin=workspace.url, sdk_url=workspace.sdk_url)
            threading.Thread(target=_announce, args=(workspace,), daemon=True).start()

            def stop(_seconds: int) -> None:
                worker.stop(seconds=1)
                shutil.rmtree(folder, ignore_errors=True)

            serve(web, "127.0.0.1", int(workspace.product_url.rpartition(":")[2]), 16, on_stop=stop)


def _announce(workspace: Workspace) -> None:
    """Once the web process answers, Zendesk delivers the tickets and the visitor gets the address."""
    address = urlsplit(workspace.product_url)
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection((str(address.hostname), address.port or 0), 0.2):
            break
        time.sleep(0.05)
    workspace.announce()
    twins = (workspace.stripe, workspace.zendesk, workspace.github)
    click.echo("Twins: " + "  ".join(f"{twin.service} {twin.url}" for twin in twins), err=True)
    click.echo(f"Ten tickets are waiting. Open {workspace.url}   (Ctrl-C stops)")


def _demo_settings(folder: Path, workspace: Workspace) -> Settings:
    """Settings as an installation would have them, with the twins as vendors."""
    stripe, zendesk, github = workspace.stripe, workspace.zendesk, workspace.github
    return Settings(
        database_url=f"sqlite:///{folder / 'demo.db'}",
        secret_keys=(secrets.token_hex(20),),
        zendesk_subdomain=zendesk.desk.subdomain,
        zendesk_api_base=zendesk.url,
        zendesk_oauth_client_id=zendesk.client_id,
        zendesk_oauth_client_secret=zendesk.client_secret,
        zendesk_webhook_secrets=(secrets.token_hex(16),),
        zendesk_app_id=str(zendesk.app_id),
        zendesk_installation_id=str(zendesk.installation_id),
        zendesk_app_public_key=zendesk.public_key_pem,
        stripe_read_key=DEFAULT_KEY,
        stripe_write_key=DEFAULT_KEY,
        stripe_api_base=stripe.url,
        github_repository=workspace.world.repository,
        github_token=github.add_token(repositories=[workspace.world.repository]),
        github_api_base=github.url,
        log_level="error",
        log_format="text",
    )


for command in (
    agreement, backtest, diagnose, gaps, audit, parked, redact, replay, doctor, install, package, uninstall,
):  # fmt: skip
    cli.add_command(command)


def _settings(*required: str) -> Settings:
    try:
        settings = read_settings()
        require(settings, *required)
    except SettingsError as error:
        raise Stop(str(error), USAGE) from error
    if settings.zendesk_api_token and not settings.zendesk_oauth_client_id:
        click.echo(f"Warning: Zendesk ends API tokens on {TOKENS_END}. Move to an OAuth client.", err=True)
    return settings


def _desk(command: str) -> Desk:
    """What a command works with: the first two read Stripe and need no store, every other one needs a store only."""
    if command in {"backtest", "diagnose"}:
        return build(_settings("STRIPE_READ_KEY")).desk
    product = build(_settings())
    with _store_errors():
        database.check_schema(product.engine)
    return product.desk


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except database.SchemaMismatch as error:
        raise Stop(str(error), USAGE) from error
    except sa.exc.SQLAlchemyError as error:
        raise Stop("The store does not answer. Check DATABASE_URL and that the database runs.", UPSTREAM) from error


def main() -> None:
    """The command line's entry."""
    as_json = "--json" in sys.argv
    try:
        # None from a command, a number from --help and the like
        sys.exit(cli(prog_name="billing-desk", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.UsageError as error:
        path, says = error.ctx.command_path if error.ctx else "billing-desk", error.format_message()
        end(f"{says}{'' if says.endswith(('.', '?')) else '.'} Try {path} --help.", USAGE, as_json=as_json)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)  # what a shell says of Ctrl-C
    except SettingsError as error:
        end(str(error), USAGE, as_json=as_json)


if __name__ == "__main__":
    main()
