"""Does policy.toml say what it seems to say, and does a mistake in it name its line?"""

from __future__ import annotations

import pytest

from billing.evidence import Bucket
from billing.gap import CATALOGUE
from billing.policy import (
    UNLIMITED,
    ExampleSubscription,
    GitHub,
    Policy,
    PolicyError,
    Products,
    Refunds,
    failing,
    limit,
    parse,
)
from billing.policy_examples import broken

CONTRACT = """\
[refunds]
window_days = {month = 30, year = 30, one_time = 30}
one_click_limit = {usd = 10000}        # above: the amount is typed
second_approval_above = {usd = 20000}
per_agent_per_day = {usd = 50000}      # minor units, per currency; a currency not named uses `default`
hold_seconds = 10
[products]
team = ["prod_7", "Team"]
families = [["Solo", "Duo"], ["Sketch", "Sketch Plus"]]
owner_keys = ["workspace", "org", "org_id", "team", "user_id", "member"]
[people]
approve = ["agent", "admin"]           # Zendesk roles or group names
[enrichment]
write = ["note", "tags", "fields"]
[github.routes]
no_billing_portal = "acme/web"
[brand]
name = "Acme"
sign_off = "The Acme billing team"
"""


def test_the_contracts_example_means_what_it_says():
    assert parse(CONTRACT) == Policy(
        refunds=Refunds(
            window_days={"month": 30, "year": 30, "one_time": 30},
            one_click_limit={"default": 10000, "usd": 10000},
            second_approval_above={"default": 20000, "usd": 20000},
            per_agent_per_day={"default": 50000, "usd": 50000},
            hold_seconds=10,
        ),
        products=Products(
            team=("prod_7", "Team"),
            families=(("Solo", "Duo"), ("Sketch", "Sketch Plus")),
            owner_keys=("workspace", "org", "org_id", "team", "user_id", "member"),
        ),
        approve=("agent", "admin"),
        write=("note", "tags", "fields"),
        github=GitHub(routes={"no_billing_portal": "acme/web"}),
        brand_name="Acme",
        sign_off="The Acme billing team",
    )


@pytest.mark.parametrize(
    ("limits", "currency", "expected"),
    [
        (parse(CONTRACT).refunds.one_click_limit, "usd", 10000),
        (parse(CONTRACT).refunds.one_click_limit, "jpy", 10000),
        (parse("[refunds]\none_click_limit = {usd = 5, default = 7}").refunds.one_click_limit, "eur", 7),
        (parse("[refunds]\none_click_limit = {eur = 5}").refunds.one_click_limit, "eur", 5),
        (parse("[refunds]\none_click_limit = {eur = 5}").refunds.one_click_limit, "usd", 10000),
        (Refunds().per_day, "usd", UNLIMITED),
        ({}, "usd", UNLIMITED),
        ({"usd": 0}, "usd", 0),
    ],
)
def test_a_currency_that_is_not_named_uses_default(limits, currency, expected):
    assert limit(limits, currency) == expected


@pytest.mark.parametrize("text", ["", "# nothing\n", "[refunds]\n[brand]\n"])
def test_what_is_not_named_keeps_its_default(text):
    assert parse(text) == Policy()


def test_every_setting_can_be_set():
    policy = parse(
        'languages = ["en", "de"]\n'
        "[refunds]\nwindow_days = {year = 14}\nper_step = {usd = 1}\nper_customer_30_days = {usd = 2}\n"
        "per_day = {usd = 3, default = 4}\nhold_seconds = 0\n"
        '[github]\nlabels = ["billing-gap", "team"]\n'
        "[retention]\ndays = 90\n[stripe]\nreads_per_month = 100\n[enrichment]\nwrite = []\n"
    )
    assert policy.languages == ("en", "de")
    assert policy.refunds.window_days == {"month": 30, "year": 14, "one_time": 30}
    assert policy.refunds.per_step == {"default": UNLIMITED, "usd": 1}
    assert policy.refunds.per_customer_30_days["usd"] == 2
    assert policy.refunds.per_day == {"usd": 3, "default": 4}
    assert policy.refunds.hold_seconds == 0
    assert policy.github.labels == ("billing-gap", "team")
    assert (policy.retention_days, policy.stripe_reads_per_month, policy.write) == (90, 100, ())


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_every_kind_of_gap_can_be_routed(kind):
    assert parse(f'[github.routes]\n{kind} = "acme/web.app"').github.routes == {kind: "acme/web.app"}


ONE = "[[examples]]\nname = 'x'\nbucket = 'team_seats'\n"
WRONG = [
    # text, line, what is said
    ("[refunds\n", 1, "this is not TOML"),
    ("a = 1\n\nb = \n", 3, "this is not TOML"),
    ('a = "open', 1, "this is not TOML"),
    ("[brand]\nname = 'x'\nname = 'y'\n", 3, "this is not TOML"),
    ("unknown = 1", 1, "unknown is not known here"),
    ("[refund]\nhold_seconds = 1", 1, "refund is not known here"),
    ("[refunds]\nhold = 10", 2, "refunds.hold is not known here"),
    ("[brand]\n\n# word\ncolour = 'red'", 4, "brand.colour is not known here: name or sign_off."),
    ("[people]\nrole = []", 2, "people.role is not known here"),
    ("[enrichment]\nread = []", 2, "enrichment.read is not known here"),
    ("[retention]\nyears = 1", 2, "retention.years is not known here"),
    ("[stripe]\nreads = 1", 2, "stripe.reads is not known here"),
    ("[products]\nteams = []", 2, "products.teams is not known here"),
    ("[github]\nroute = {}", 2, "github.route is not known here"),
    ("refunds = 3", 1, "refunds is a table"),
    ("[refunds]\none_click_limit = 100", 2, "refunds.one_click_limit is a table"),
    ("[refunds]\none_click_limit = {usd = 100.0}", 2, "is a whole number of minor units (cents)"),
    ("[refunds]\none_click_limit = {usd = '100'}", 2, "is a whole number of minor units"),
    ("[refunds]\none_click_limit = {usd = true}", 2, "is a whole number of minor units"),
    ("[refunds]\none_click_limit = {usd = -1}", 2, "is -1; 0 or more is needed"),
    ("[refunds]\none_click_limit = {usd = 9999999999999}", 2, "is 9999999999999; 0 or more is needed"),
    ("[refunds]\none_click_limit = {USD = 100}", 2, '"USD" is not a currency'),
    ("[refunds]\none_click_limit = {dollar = 100}", 2, '"dollar" is not a currency'),
    ("[refunds.per_day]\nusd = 1\nEUR = 2", 3, '"EUR" is not a currency'),
    ("[refunds]\nwindow_days = {months = 30}", 2, '"months" is not an interval'),
    ("[refunds]\nwindow_days.month = 1.5", 2, "refunds.window_days.month is a whole number of days"),
    ("[refunds]\nhold_seconds = '10'", 2, "refunds.hold_seconds is a whole number"),
    ("[refunds]\nhold_seconds = 601", 2, "refunds.hold_seconds is 601; at most 600 is possible."),
    ("[products]\nteam = 'Team'", 2, "products.team is a list"),
    ("[products]\nteam = [1]", 2, "products.team is one line of text in quotes"),
    ("[products]\nfamilies = ['Solo']", 2, "products.families is a list"),
    ("[products]\nfamilies = [['Solo']]", 2, "has at least two products"),
    ("[products]\nfamilies = [['A', 'B'], ['B', 'C']]", 2, '"B" stands in products.families twice'),
    ("[people]\napprove = []", 2, "nobody could approve a plan"),
    ("[people]\ndry_run = 'yes'", 2, "people.dry_run is true or false, without quotes."),
    ("[enrichment]\nwrite = ['reply']", 2, '"reply" is none of note, tags or fields'),
    ("[github.routes]\nno_gap = 'acme/web'", 2, '"no_gap" is not a kind of product gap'),
    ("[github.routes]\nno_billing_portal = 'acme'", 2, '"acme" is not a repository'),
    ("[github.routes]\n\nno_billing_portal = 3", 3, "github.routes.no_billing_portal is one line of text"),
    ("[github]\nroutes = {no_billing_portal = 'a b/c'}", 2, "is not a repository"),
    ("[brand]\nname = 3", 2, "brand.name is one line of text"),
    ("[brand]\nsign_off = '''two\nlines'''", 2, "brand.sign_off is one line of text"),
    ("languages = ['english']", 1, '"english" is not a language'),
    ("[retention]\ndays = 0", 2, "retention.days is 0; 1 or more is needed"),
    ("examples = 3", 1, "examples is a list"),
    ("examples = [3]", 1, "examples is a table"),
    ("[[examples]]\nbucket = 'team_seats'", 1, "an example has a name"),
    ("[[examples]]\nname = 'x'\nbucket = 'seats'", 3, '"seats" is not a bucket'),
    ("[[examples]]\nname = 'x'", 1, '"" is not a bucket'),
    (ONE + "[[examples]]\nname = 'y'\nbucket = 'no'", 6, '"no" is not a bucket'),
    (ONE + "[[examples.subscriptions]]\nproduct=''", 4, "has a product"),
    (ONE + "[[examples.subscriptions]]\nproduct='P'\nsize=1", 6, "size is not known"),
    (ONE + "subscriptions=[{product='P', interval='one_time'}]", 4, "an interval"),
    (ONE + "subscriptions=[{product='P', currency='USD'}]", 4, "lower-case currency"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_a_mistake_names_its_line_and_how_to_mend_it(text, line, said):
    with pytest.raises(PolicyError) as caught:
        parse(text, "my-policy.toml")
    assert said in str(caught.value)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"my-policy.toml, line {line}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.message in str(caught.value)


EXAMPLES = """\
[[examples]]
name = "two seats"
bucket = "team_seats"
text = "Why twice?"
[[examples.subscriptions]]
product = "Team"
quantity = 2
amount = 1200
currency = "eur"
interval = "year"
owner = "w1"
[[examples]]
name = "no text"
bucket = "undecided"
"""


def test_examples_are_small_worlds_with_their_line():
    first, second = parse(EXAMPLES).examples
    assert (first.name, first.bucket, first.text, first.line) == ("two seats", "team_seats", "Why twice?", 1)
    assert first.subscriptions == (
        ExampleSubscription(product="Team", interval="year", quantity=2, amount=1200, currency="eur", owner="w1"),
    )
    assert (second.subscriptions, second.line) == ((), 12)


def test_an_example_that_no_longer_gives_its_bucket_is_named_with_its_line():
    found = list(failing(parse(EXAMPLES), lambda example: Bucket.UNDECIDED))
    assert [str(error) for error in found] == [
        'policy.toml, line 1: the example "two seats" gives undecided, not team_seats.'
    ]


def _stated(bucket, *subscriptions, text="", families=""):
    head = f"[products]\nfamilies = [{families}]\n[[examples]]\nname = 'x'\nbucket = '{bucket}'\ntext = '{text}'\n"
    return parse(head + "".join(f"[[examples.subscriptions]]\n{entry}\n" for entry in subscriptions))


PRO = "product = 'Pro'\namount = 2900"
DUO = "product = 'Duo'\namount = 5900"


@pytest.mark.parametrize(
    "policy",
    [
        _stated("duplicate_subscription", PRO, PRO, text="I was charged twice this month"),
        _stated("duplicate_subscription", PRO, DUO, text="I was charged twice", families="['Pro', 'Duo']"),
        _stated("other_billing", PRO, DUO, text="I was charged twice"),
        _stated("team_seats", PRO + "\nowner = 'w1'", PRO + "\nowner = 'w2'", text="Why do I pay twice?"),
        _stated("team_seats", PRO + "\nquantity = 5\ninterval = 'year'", text="Why am I charged for 5 seats?"),
        _stated("self_serve_gap", PRO, text="Cancel my subscription"),
        _stated("undecided"),
    ],
)
def test_an_example_is_judged_by_the_whole_core_under_its_own_policy(policy):
    assert list(broken(policy)) == []


def test_a_policy_that_changes_an_examples_outcome_is_refused_with_its_line():
    policy = _stated("other_billing", PRO, DUO, text="I was charged twice", families="['Pro', 'Duo']")
    assert [str(error) for error in broken(policy, "my.toml")] == [
        'my.toml, line 3: the example "x" gives duplicate_subscription, not other_billing.'
    ]


def test_quoted_and_dotted_keys_are_found_on_their_line():
    with pytest.raises(PolicyError) as caught:
        parse('[ "refunds" ] # word\n\n"window_days".month = -3\n')
    assert caught.value.line == 3
