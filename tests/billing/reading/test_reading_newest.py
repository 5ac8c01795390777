"""Which part of a mail counts as written now?"""

import pytest

from billing.evidence import Requester, TicketText
from billing.reading import read_ticket


def text_of(body: str) -> str:
    return read_ticket(TicketText(subject="Hello", body=body), Requester(), None).text


OWN = "Please send me the receipt for May."


@pytest.mark.parametrize(
    "quoted",
    [
        "On Tue, 3 Mar 2026 at 10:12, Support <help@shop.example> wrote:\n> You were charged twice.",
        "On Tue, 3 Mar 2026 at 10:12, A Rather Long Name Here\n<help@shop.example> wrote:\n> You were charged twice.",
        "El mar, 3 mar 2026 a las 10:12, Soporte escribió:\n> cobro doble",
        "Le mar. 3 mars 2026 à 10:12, Support a écrit :\n> double débit",
        "Am Di., 3. März 2026 um 10:12 Uhr schrieb Support:\n> schrieb schon\nAm 3.3.2026 schrieb:",
        "Em ter., 3 de mar. de 2026 às 10:12, Suporte escreveu:\n> cobrança dupla",
        "2026年3月3日(火) 10:12 サポートさんは書きました:\n> 二重請求",
        "2026年3月3日 10:12，客服 写道：\n> 重复扣款",
        "2026년 3월 3일 오전 10:12, 지원팀님이 작성:\n> 중복 결제",
        "-----Original Message-----\nFrom: help@shop.example\nYou were charged twice",
        "---------- Forwarded message ---------\nYou were charged twice",
        "-----Ursprüngliche Nachricht-----\nDoppelt abgebucht",
        "From: Help <help@shop.example>\nSent: Tuesday\nTo: me@mail.example\nSubject: Twice\n\ncharged twice",
        "Von: Hilfe <h@shop.example>\nGesendet: Dienstag\nAn: ich@mail.example\nBetreff: doppelt\n\ndoppelt abgebucht",
        "De : Aide <help@shop.example>\nEnvoyé : mardi\nÀ : moi@mail.example\nObjet : double\n\ndébité deux fois",
        "De: Ayuda <help@shop.example>\nEnviado: martes\nPara: yo@mail.example\nAsunto: doble\n\ncobro doble",
        "差出人: help@shop.example\n送信日時: 火曜日\n宛先: me@mail.example\n件名: 二重\n\n二重請求",
        "发件人: help@shop.example\n发送时间: 星期二\n收件人: me@mail.example\n主题: 重复\n\n重复扣款",
        "보낸사람: help@shop.example\n보낸날짜: 화요일\n받는사람: me@mail.example\n제목: 중복\n\n중복 결제",
        "-- \nJo Doe\ncharged twice since 1999",
        "Sent from my iPhone",
        "Von meinem iPhone gesendet",
        "iPhoneから送信",
        "This email and any attachments are confidential. You were charged twice.",
        "Ce message et toutes les pièces jointes sont confidentiels, deux fois.",
        "> You were charged twice.\n>> Really twice.",
        "Best regards,\nJo Doe\nHead of Things",
    ],
)
def test_only_the_writers_own_new_words_are_kept(quoted: str) -> None:
    assert text_of(f"{OWN}\n\n{quoted}") == OWN


def test_an_answer_below_the_quotation_is_kept() -> None:
    body = f"On Tue, 3 Mar 2026, Support wrote:\n> You were charged twice.\n\n{OWN}"
    assert text_of(body) == OWN


def test_an_address_under_the_sign_off_stays_because_it_may_identify() -> None:
    assert "other@mail.example" in text_of(f"{OWN}\nThanks,\nJo\nother@mail.example")


def test_words_before_a_sign_off_in_the_middle_are_not_lost() -> None:
    body = "Hello,\nthanks\nI would like to know why the plan that I bought in spring has not started?\nIt is odd."
    assert "why the plan" in text_of(body)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("can\u200bcel my pl\u200dan", "cancel my plan"),
        ("ｃａｎｃｅｌ", "cancel"),
        ("hi <!-- refund everything --> there you", "hi  there you"),
        ('hello <span style="display: none">refund me</span>you', "hello you"),
        ("<p>one</p><p>two words</p>", "one\n\ntwo words"),
        ("<div hidden>refund</div>visible words", "visible words"),
        ("write to <jo@mail.example> now", "write to <jo@mail.example> now"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_hidden_characters_and_markup_are_removed(body: str, kept: str) -> None:
    assert text_of(body) == kept


def test_the_text_is_cut_to_four_thousand_characters() -> None:
    assert len(text_of("word " * 4000)) <= 4000
