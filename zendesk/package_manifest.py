"""Is a package's manifest.json one that Zendesk takes? Its rules, one function each.

They follow what Zendesk's own server checks (zendesk_apps_support 4.52), in our words and with our codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from zendesk.package_findings import Contents, Finding, listed, told

WHERE = "manifest.json"
FRAMEWORK = "2.0"
LOCALE = re.compile(r"[a-z]{2,3}(-\w{2,3})?\Z", re.ASCII)
_ALIASES = {"zendesk": "support", "zopim": "chat", "lotus_box": "standalone_chat"}
LOCATIONS: Mapping[str, frozenset[str]] = {
    "support": frozenset(
        "top_bar nav_bar ticket_sidebar new_ticket_sidebar user_sidebar organization_sidebar background modal "
        "ticket_editor system_top_bar custom_object_record_sidebar".split()
    ),
    "chat": frozenset({"chat_sidebar", "background"}),
    "standalone_chat": frozenset({"nav_bar", "system_top_bar"}),
    "sell": frozenset(
        "deal_card person_card company_card lead_card background modal dashboard note_editor call_log_editor "
        "email_editor top_bar visit_editor".split()
    ),
}
_TYPES = frozenset({"text", "checkbox", "url", "number", "multiline", "hidden", "oauth"})
_SCOPES = frozenset(
    {"header", "body", "url", "jwt_secret_key", "jwt_claim", "basic_auth_username", "basic_auth_password"}
)
_FLAGS = ("requirementsOnly", "marketingOnly", "singleInstall", "signedUrls", "private")
_TEXTS = ("defaultLocale", "version", "frameworkVersion", "remoteInstallationURL", "termsConditionsURL", "gaID")
_OAUTH = ("client_id", "client_secret", "authorize_uri", "access_token_uri")
_EXPERIMENTS = frozenset({"hashParams", "newCssCompiler"})
_TELLING = re.compile(r"token|key|pwd|password", re.IGNORECASE)


def errors(manifest: Mapping[str, Any], contents: Contents) -> Iterator[Finding]:
    """Everything in the manifest for which Zendesk refuses the package."""
    yield from _required(manifest)
    yield from _types(manifest)
    yield from _addresses(manifest)
    yield from _locale(manifest, contents)
    yield from _template(manifest)
    if manifest.get("requirementsOnly") is True or manifest.get("marketingOnly") is True:
        yield from _bare(manifest, contents)
    else:
        yield from _framework(manifest)
        yield from _locations(manifest, contents)
    yield from _parameters(manifest)
    yield from _oauth(manifest)


def warnings(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """What Zendesk only points out."""
    for parameter in _each(manifest):
        name, where = str(parameter.get("name")), f"{WHERE} parameters.{parameter.get('name')}"
        secure = parameter.get("secure") is True
        if _TELLING.search(name) and parameter.get("type", "text") == "text" and not secure:
            yield from told("parameter_not_secure", where, "looks like a secret; make it secure")
        if "default" in parameter and (secure or parameter.get("type") == "hidden"):
            yield from told("parameter_default", where, "a default of a secure or hidden parameter can be read")
        if secure and "scopes" not in parameter:
            yield from told("parameter_scopes", where, "a secure parameter should name its scopes")


def products(manifest: Mapping[str, Any]) -> frozenset[str]:
    """The products that the locations name."""
    location = manifest.get("location")
    if not isinstance(location, Mapping):
        return frozenset()
    return frozenset(_ALIASES.get(str(host), str(host)) for host in location)


def is_private(manifest: Mapping[str, Any]) -> bool:
    return manifest.get("private", True) is not False


def _required(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    if missing := [name for name in ("author", "defaultLocale") if manifest.get(name) is None]:
        yield from told("missing_keys", WHERE, f"lacks {listed(missing)}")


def _types(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    author = manifest.get("author")
    if author is not None and not isinstance(author, Mapping):
        yield from told("not_an_object", WHERE, "author must be an object")
    for name in _FLAGS:
        if name in manifest and not isinstance(manifest[name], bool):
            yield from told("not_a_boolean", WHERE, f"{name} must be true or false")
    for name in _TEXTS:
        if manifest.get(name) is not None and not isinstance(manifest[name], str):
            yield from told("not_a_string", WHERE, f"{name} must be text")
    for name in ("name", "email", "url"):
        value = author.get(name) if isinstance(author, Mapping) else None
        if value is not None and not isinstance(value, str):
            yield from told("not_a_string", WHERE, f"author.{name} must be text")
    experiments = manifest.get("experiments", {})
    if not isinstance(experiments, Mapping):
        yield from told("not_an_object", WHERE, "experiments must be an object")
    elif not is_private(manifest) and (unknown := sorted(set(experiments) - _EXPERIMENTS)):
        yield from told("unknown_experiment", WHERE, f"experiments may not hold {listed(unknown)}")
    domains = manifest.get("domainWhitelist")
    if domains is not None and not (isinstance(domains, list) and all(isinstance(one, str) for one in domains)):
        yield from told("not_a_list_of_strings", WHERE, "domainWhitelist must be a list of texts")
    parameters = manifest.get("parameters")
    if parameters is not None and not (
        isinstance(parameters, list) and all(isinstance(one, Mapping) for one in parameters)
    ):
        yield from told("not_a_list", WHERE, "parameters must be a list of objects")


def _addresses(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    author = manifest.get("author")
    named = [("termsConditionsURL", manifest.get("termsConditionsURL"))]
    named.append(("author.url", author.get("url") if isinstance(author, Mapping) else None))
    for name, value in named:
        if isinstance(value, str):
            parts = _split(value)
            if parts is None or parts[0] not in {"http", "https"} or not parts[1]:
                yield from told("bad_address", WHERE, f"{name} must be an http or https address")


def _locale(manifest: Mapping[str, Any], contents: Contents) -> Iterator[Finding]:
    locale = manifest.get("defaultLocale")
    if not isinstance(locale, str):
        return
    if not LOCALE.match(locale):
        yield from told("bad_locale", WHERE, "defaultLocale must be like en or pt-BR")
    elif f"translations/{locale}.json" not in contents.files:
        yield from told("missing_translation", WHERE, f"translations/{locale}.json is not there")


def _template(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    value = manifest.get("noTemplate")
    if value is not None and not (
        isinstance(value, bool) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
    ):
        yield from told("not_a_boolean", WHERE, "noTemplate must be true, false or a list of locations")
    elif value:
        yield from told("no_template", WHERE, "noTemplate is gone since framework 2.0; use autoLoad")


def _bare(manifest: Mapping[str, Any], contents: Contents) -> Iterator[Finding]:
    """Apps without a page of their own."""
    if manifest.get("location"):
        yield from told("location_not_allowed", WHERE, "an app without a page has no location")
    if manifest.get("frameworkVersion") is not None:
        yield from told("framework_not_allowed", WHERE, "an app without a page has no frameworkVersion")
    if manifest.get("marketingOnly") is not True:
        return
    if manifest.get("parameters"):
        yield from told("parameters_not_allowed", WHERE, "a marketing app has no parameters")
    if is_private(manifest):
        yield from told("private_marketing", WHERE, "a marketing app cannot be private")
    if sources := sorted(name for name in contents.files if name.endswith((".js", ".hbs", ".hdbs", ".css", ".html"))):
        yield from told("source_not_allowed", WHERE, f"a marketing app has no source files such as {sources[0]}")


def _framework(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    version = manifest.get("frameworkVersion")
    if version is None:
        yield from told("missing_keys", WHERE, "lacks frameworkVersion")
    elif version != FRAMEWORK:
        yield from told("bad_framework", WHERE, f'frameworkVersion must be "{FRAMEWORK}"')


def _locations(manifest: Mapping[str, Any], contents: Contents) -> Iterator[Finding]:
    location = manifest.get("location")
    if not location:
        yield from told("missing_keys", WHERE, "lacks location")
        return
    if not isinstance(location, Mapping) or not all(isinstance(one, Mapping) for one in location.values()):
        yield from told("location_not_a_url", WHERE, "each location must be named with its address")
        return
    for host, places in location.items():
        known = LOCATIONS.get(_ALIASES.get(str(host), str(host)))
        if known is None:
            yield from told("unknown_host", WHERE, f"location.{host} is no product")
            continue
        if unknown := sorted(set(places) - known):
            yield from told("unknown_location", WHERE, f"{host} has no location {listed(unknown)}")
        for name in sorted(set(places) & known):
            yield from _location(f"location.{host}.{name}", places[name], contents)


def _location(name: str, place: Any, contents: Contents) -> Iterator[Finding]:
    options: Mapping[str, Any] = place if isinstance(place, Mapping) else {"url": place}
    url = options.get("url")
    if not isinstance(url, str) or not url:
        if options.get("autoLoad", True) is not False:
            yield from told("blank_address", WHERE, f"{name} has no address")
    elif url == "_legacy":
        yield from told("location_not_a_url", WHERE, f"{name} is of framework 1")
    elif not _good_page(url, contents):
        yield from told("bad_page", WHERE, f"{name} must be https, localhost, or a file under assets/")
    if options.get("flexible") is not None and not isinstance(options["flexible"], bool):
        yield from told("flexible_not_a_boolean", WHERE, f"{name}.flexible must be true or false")


def _good_page(url: str, contents: Contents) -> bool:
    if "{{setting." in url:  # filled in by whoever installs the app, so not judged here
        return True
    parts = _split(url)
    if parts is None:
        return False
    scheme, host, path = parts
    if scheme:
        return (scheme == "https" and bool(host)) or host == "localhost"
    return path.startswith("assets/") and path in contents.files


def _parameters(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    parameters = _each(manifest)
    names = [parameter.get("name") for parameter in parameters]
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        yield from told("duplicate_parameter", WHERE, f"parameters repeat {listed(twice)}")
    if sum(parameter.get("type") == "oauth" for parameter in parameters) > 1:
        yield from told("too_many_oauth", WHERE, "at most one parameter is of type oauth")
    for parameter in parameters:
        yield from _parameter(parameter)


def _parameter(parameter: Mapping[str, Any]) -> Iterator[Finding]:
    name, kind = parameter.get("name"), parameter.get("type", "text")
    where = f"{WHERE} parameters.{name}"
    if name == "name":
        yield from told("parameter_called_name", where, "`name` is taken by Zendesk")
    for flag in ("required", "secure"):
        if flag in parameter and not isinstance(parameter[flag], bool):
            yield from told("not_a_boolean", where, f"{flag} must be true or false")
    if kind not in _TYPES:
        yield from told("bad_parameter_type", where, f"{kind} is no type; there are {listed(sorted(_TYPES))}")
    if kind == "hidden" and parameter.get("required") is True:
        yield from told("hidden_and_required", where, "nobody could fill in a hidden parameter")
    if kind == "oauth" and parameter.get("secure") is True:
        yield from told("secure_oauth", where, "a parameter of type oauth is secure by itself")
    if "scopes" in parameter:
        yield from _scopes(parameter, where)


def _scopes(parameter: Mapping[str, Any], where: str) -> Iterator[Finding]:
    scopes = parameter["scopes"]
    if parameter.get("secure") is not True:
        yield from told("scopes_without_secure", where, "only a secure parameter has scopes")
    if not isinstance(scopes, list) or not scopes:
        yield from told("bad_scopes", where, "scopes must be a list that is not empty")
    elif unknown := [scope for scope in scopes if not isinstance(scope, str) or scope not in _SCOPES]:
        yield from told("bad_scopes", where, f"unknown scopes: {listed(unknown)}")


def _oauth(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    oauth = manifest.get("oauth")
    if oauth is None:
        return
    held = oauth if isinstance(oauth, Mapping) else {}
    if missing := [name for name in _OAUTH if not held.get(name)]:
        yield from told("oauth_keys", WHERE, f"oauth lacks {listed(missing)}")
    if not any(parameter.get("type") == "oauth" for parameter in _each(manifest)):
        yield from told("oauth_parameter", WHERE, "oauth needs a parameter of type oauth")


def _each(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parameters = manifest.get("parameters")
    return [one for one in parameters if isinstance(one, Mapping)] if isinstance(parameters, list) else []


def _split(address: str) -> tuple[str, str, str] | None:
    """Scheme, host and path; None for what is no address at all."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return None
    return None if any(letter.isspace() for letter in address) else (parts.scheme, host, parts.path)
