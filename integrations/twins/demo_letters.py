"""Who wrote the ten tickets of the demo, when, and in which words?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One ticket as its requester wrote it. `billed_as`: Stripe's address for them, where it is another one.

    `later`: what was added since, as (who, minutes ago, text); who is "requester" or "colleague".
    """

    id: int
    key: str
    name: str
    email: str
    subject: str
    minutes_ago: int
    text: str
    highlight: str
    locale: str = "en-US"
    billed_as: str | None = None
    opened_minutes_ago: int | None = None
    later: tuple[tuple[str, int, str], ...] = ()


def ordinal(day: int) -> str:
    ending = "th" if 10 < day % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def letters(now: datetime) -> tuple[Letter, ...]:
    """The ten tickets, the youngest first; the days they name follow from `now`."""

    def day(back: int) -> str:
        return ordinal((now - timedelta(days=back)).day)

    return (
        Letter(
            id=48213, key="maya", name="Maya Okafor", email="maya.okafor@brightpath.example", minutes_ago=4,
            subject="Charged twice this month??", highlight="charged twice this month",
            text=f"Hi, I was charged twice this month for Pro, on the {day(19)} and again on the {day(10)}. I only "
            "have one account. Can you please look into it and give me one of those back?\n\nThanks, Maya",
        ),
        Letter(
            id=48212, key="jonas", name="Jonas Weber", email="jonas.weber@nordlicht.example", minutes_ago=11,
            subject="Zahlung geht nicht durch", highlight="Zahlung geht nicht durch", locale="de",
            text="Hallo, die Zahlung geht nicht durch und ich bekomme ständig Mahnungen per E-Mail. Meine alte Karte "
            "ist abgelaufen, ich habe eine neue. Wo kann ich die neue Karte eintragen?\n\nViele Grüße\nJonas Weber",
        ),
        Letter(
            id=48209, key="priya", name="Priya Raman", email="priya.raman@lumenstudio.example", minutes_ago=26,
            subject="did we get billed 4 times?", highlight="billed 4 times",
            text="hey, our invoice says 4 x Starter. did we get billed 4 times? we are a team with four seats. do we "
            "pay for each seat? can you explain the amount please\n\npriya",
        ),
        Letter(
            id=48206, key="dana", name="Dana Marsh", email="dana.marsh@marshconsulting.example", minutes_ago=48,
            subject="Refund my annual plan or I call my bank", highlight="refund my annual plan",
            text="Please refund my annual plan. I never agreed to pay 1,188.00 for a whole year and nobody answers. If "
            "this is not sorted out I call my bank and dispute it.\n\nDana Marsh",
        ),
        Letter(
            id=48203, key="luis", name="Luis Ortega", email="luis.ortega@correo.example", minutes_ago=62,
            subject="How do I cancel?", highlight="cancel my subscription",
            text="Hello, I would like to cancel my subscription at the end of the month. I looked everywhere in my "
            "account and there is no button for it. How do I cancel?\n\nLuis",
        ),
        Letter(
            id=48200, key="aiko", name="Aiko Tanaka", email="aiko.tanaka@hoshi.example", minutes_ago=84,
            subject="Invoice for my tax office", highlight="請求書", locale="ja",
            text="お世話になっております。税務署に提出するため、先月分の請求書をPDFで送っていただけますでしょうか。\n\n"
            "よろしくお願いいたします。\n田中愛子",
        ),
        Letter(
            id=48196, key="sam", name="Sam Reed", email="sam.reed@reedworks.example", minutes_ago=127,
            subject="Nothing works since the upgrade", highlight="nothing works",
            text="I upgraded to Business three days ago and since then nothing works: every page shows an error and my "
            "whole team is locked out. I paid for this. What is going on?\n\nSam Reed",
        ),
        Letter(
            id=48191, key="noor", name="Noor Haddad", email="noor.haddad@mailbox.example", minutes_ago=184,
            subject="Where is my receipt", highlight="receipt", billed_as="accounts@haddadstudio.example",
            text=f"Hi, where is my receipt for Pro? I need the receipt of the {day(13)} for my bookkeeping. I may have "
            "used the address of my studio when I signed up.\n\nNoor Haddad",
        ),
        Letter(
            id=48185, key="ben", name="Ben Cole", email="ben.cole@colebrothers.example", minutes_ago=301,
            subject="Double charge", highlight="double charge", opened_minutes_ago=1_790,
            text="There is a double charge for Pro on my card. Please refund the second one.\n\nBen",
            later=(
                ("colleague", 1_520, "Hi Ben, you are right. I stopped the second subscription and refunded 29.00 to "
                 "your Visa. It takes 5 to 10 business days to show up.\n\nTom"),
                ("requester", 301, "I still see both payments on my statement. Where is my refund?\n\nBen"),
            ),
        ),
        Letter(
            id=48179, key="eva", name="Eva Lind", email="eva.lind@fjordmail.example", minutes_ago=363,
            subject="Card declined again", highlight="declined again",
            text="My card was declined again and I do not know why, it works everywhere else. Can you try it once more "
            "or tell me what to do? I do not want to lose my account.\n\nEva",
        ),
    )  # fmt: skip
