"""What does Stripe know about the ten people of the demo?  Histories with paid invoices, charges and cards."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.twins.stripe_twin import World as Books
from integrations.twins.stripe_twin import acts

Obj = dict[str, Any]


def months_back(moment: datetime, count: int) -> datetime:
    """The same day so many months earlier, or that month's last day."""
    months = moment.year * 12 + moment.month - 1 - count
    year, month = divmod(months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def days_back(now: datetime, days: int, hour: int = 8, minute: int = 30) -> datetime:
    """So many days ago (at least one) at that time of the day, UTC."""
    return (now.astimezone(UTC) - timedelta(days=days)).replace(hour=hour, minute=minute, second=0, microsecond=0)


class Billing:
    """Each method builds one person's account and answers the ids of their customers."""

    def __init__(self, books: Books, now: datetime) -> None:
        self.books, self.now = books, now
        long_ago = months_back(now, 40)
        pro = books.product("Pro", created=long_ago)
        starter = books.product("Starter", created=long_ago)
        business = books.product("Business", created=long_ago)
        self.pro = books.price(pro, 2900, created=long_ago)
        self.pro_eur = books.price(pro, 1900, "eur", created=long_ago)
        self.pro_jpy = books.price(pro, 3900, "jpy", created=long_ago)
        self.starter = books.price(starter, 1200, created=long_ago)
        self.business = books.price(business, 9900, created=long_ago)
        self.business_annual = books.price(business, 118_800, interval="year", created=long_ago)
        books.portal_configuration(login_page=True, cancel=False)

    def maya(self, email: str) -> tuple[str, ...]:
        """Pays twice for Pro: since 2024, and once more since ten days ago."""
        owner = self._customer(email, "Maya Okafor", months_back(days_back(self.now, 19), 32))
        self.books.subscription(owner, self.pro, created=months_back(days_back(self.now, 19), 32))
        self.books.subscription(owner, self.pro, created=days_back(self.now, 10, 14, 12))
        return (owner["id"],)

    def jonas(self, email: str) -> tuple[str, ...]:
        """The card ran out last month; three attempts failed and the invoice is open."""
        begun, expired = months_back(days_back(self.now, 8), 6), months_back(self.now, 1)
        owner = self._customer(email, "Jonas Weber", begun, method=None, preferred_locales=["de"])
        card = self.books.payment_method(
            owner, brand="mastercard", last4="0341", exp_month=expired.month, exp_year=expired.year, default=True,
            decline="expired_card", created=begun,
        )  # fmt: skip
        sub = self.books.subscription(
            owner, self.pro_eur, created=begun, status="past_due", decline="expired_card", payment_method=card
        )
        self._fail_again(owner, sub, card, "expired_card", (5, 2), next_in=timedelta(days=2))
        return (owner["id"],)

    def priya(self, email: str) -> tuple[str, ...]:
        """One subscription with four seats: nobody paid twice."""
        begun = months_back(days_back(self.now, 6), 5)
        owner = self._customer(email, "Lumen Studio", begun, last4="8210")
        self.books.subscription(owner, self.starter, 4, created=begun)
        return (owner["id"],)

    def dana(self, email: str) -> tuple[str, ...]:
        """An annual payment that the bank already disputes, and a second customer with the same address."""
        begun = days_back(self.now, 33)
        other = self._customer(email, "Dana Marsh", months_back(begun, 14), method=None)
        owner = self._customer(email, "Dana Marsh", begun, last4="5556")
        self.books.subscription(owner, self.business_annual, created=begun)
        self.books.dispute(self._charges(owner)[0], reason="general", created=days_back(self.now, 2))
        return owner["id"], other["id"]

    def luis(self, email: str) -> tuple[str, ...]:
        """Wants to cancel, and the portal does not offer it."""
        begun = months_back(days_back(self.now, 4), 9)
        owner = self._customer(email, "Luis Ortega", begun, last4="1881")
        self.books.subscription(owner, self.pro, created=begun)
        return (owner["id"],)

    def aiko(self, email: str) -> tuple[str, ...]:
        """Eight invoices in yen, all paid."""
        begun = months_back(days_back(self.now, 15), 7)
        owner = self._customer(email, "Aiko Tanaka", begun, brand="jcb", last4="0505", preferred_locales=["ja"])
        self.books.subscription(owner, self.pro_jpy, created=begun)
        return (owner["id"],)

    def sam(self, email: str) -> tuple[str, ...]:
        """Went from Pro to Business three days ago, and paid for it."""
        begun, at = months_back(days_back(self.now, 12), 7), days_back(self.now, 3, 16, 5)
        owner = self._customer(email, "Sam Reed", begun, last4="4444")
        sub = self.books.subscription(owner, self.pro, created=begun)
        item = sub["items"]["data"][0]
        end, moment = int(item["current_period_end"]), int(at.timestamp())
        share = (end - moment) / (end - int(item["current_period_start"]))
        unused = self._change_line(item, self.pro, -round(2900 * share), moment, end, "Unused time on Pro")
        item |= {"price": self.business, "plan": acts.plan_of(self.business)}
        rest = self._change_line(item, self.business, round(9900 * share), moment, end, "Remaining time on Business")
        self.books.invoice(
            owner, status="paid", subscription=sub, reason="subscription_update", created=at, lines=[unused, rest]
        )
        return (owner["id"],)

    def noor(self, email: str) -> tuple[str, ...]:
        """Paid under another address than the one of the ticket."""
        begun = days_back(self.now, 13)
        owner = self._customer(email, "Haddad Studio", begun, last4="3155")
        self.books.subscription(owner, self.pro, created=begun)
        return (owner["id"],)

    def ben(self, email: str) -> tuple[str, ...]:
        """Was charged twice; a colleague stopped the extra subscription and refunded it yesterday."""
        begun, second, mended = months_back(days_back(self.now, 17), 11), days_back(self.now, 9), days_back(self.now, 1)
        owner = self._customer(email, "Ben Cole", begun, last4="9424")
        self.books.subscription(owner, self.pro, created=begun)
        extra = self.books.subscription(owner, self.pro, created=second, status="canceled")
        extra |= {"canceled_at": int(mended.timestamp()), "ended_at": int(mended.timestamp())}
        paid = next(one for one in self._charges(owner) if one["created"] == int(second.timestamp()))
        self.books.refund(paid, created=mended + timedelta(minutes=2), reason="duplicate")
        return (owner["id"],)

    def eva(self, email: str) -> tuple[str, ...]:
        """Not enough money on the card, twice; Stripe tries again by itself."""
        begun = months_back(days_back(self.now, 5), 10)
        owner = self._customer(email, "Eva Lind", begun, method=None)
        card = self.books.payment_method(
            owner, last4="0077", default=True, decline="insufficient_funds", advice="try_again_later", created=begun
        )
        sub = self.books.subscription(
            owner, self.pro, created=begun, status="past_due", decline="insufficient_funds", advice="try_again_later",
            payment_method=card,
        )  # fmt: skip
        self._fail_again(
            owner, sub, card, "insufficient_funds", (2,), next_in=timedelta(days=1), advice="try_again_later"
        )
        return (owner["id"],)

    # -- pieces -----------------------------------------------------------------------------------------------------
    def _customer(
        self, email: str, name: str, since: datetime, *, method: str | None = "card", brand: str = "visa",
        last4: str = "4242", **fields: Any,
    ) -> Obj:  # fmt: skip
        owner = self.books.customer(email, name, created=since, **fields)
        if method is not None:
            self.books.payment_method(
                owner, brand=brand, last4=last4, exp_month=8, exp_year=self.now.year + 2, default=True, created=since
            )
        return owner

    def _charges(self, owner: Obj) -> list[Obj]:
        return self.books.store.where("charge", customer=owner["id"])

    def _change_line(self, item: Obj, price: Obj, amount: int, start: int, end: int, words: str) -> Obj:
        return acts.line(
            self.books, amount, "usd", start, end, price=price, item=item, proration=True, description=words
        )

    def _fail_again(
        self, owner: Obj, sub: Obj, card: Obj, decline: str, days: tuple[int, ...], *, next_in: timedelta,
        advice: str | None = None,
    ) -> None:  # fmt: skip
        """Further failed attempts on the open invoice, so many days ago each, on the same payment intent."""
        invoice = self.books.store.objects[sub["latest_invoice"]]
        intent = self.books.store.objects[self._charges(owner)[0]["payment_intent"]]
        for ago in days:
            at = int(days_back(self.now, ago).timestamp())
            acts.new_charge(
                self.books, intent, owner, invoice["amount_due"], invoice["currency"], card, at, decline=decline,
                advice=advice,
            )  # fmt: skip
            invoice["attempt_count"] += 1
        invoice["next_payment_attempt"] = int((self.now + next_in).timestamp())
