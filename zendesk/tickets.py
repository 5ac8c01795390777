"""Which comment carries the request, and who wrote it? From Zendesk's ticket, comments, user and identities."""

from __future__ import annotations

from collections.abc import Mapping

from billing.evidence import Requester, TicketText, Verification
from integrations.errors import Forbidden, NotFound
from integrations.zendesk_client import ZendeskClient
from integrations.zendesk_schemas import Comment, Ticket, User, UserIdentity


def read_request(client: ZendeskClient, ticket_id: int) -> tuple[Ticket, TicketText, Requester]:
    """The ticket, the text of its newest public comment by a customer, and what is known of the writer.

    Raises OutsideError (NotFound for a ticket that is not there).
    """
    ticket = client.ticket(ticket_id)
    comments, known = client.conversation(ticket_id)
    if ticket.requester_id is None:
        return ticket, TicketText(subject=ticket.subject, body=ticket.description), Requester()
    user = known.get(ticket.requester_id) or client.user(ticket.requester_id)
    identities = _identities(client, ticket.requester_id)
    asking = _asking(comments, ticket, _staff(client, comments, ticket, known))
    text = TicketText(
        subject=ticket.subject or "",
        body=asking.plain_body if asking else (ticket.description or ""),
        channel=ticket.channel or "email",
        written_at=asking.created_at if asking else None,
    )
    return ticket, text, _requester(ticket, user, identities, asking)


def _identities(client: ZendeskClient, user_id: int) -> tuple[UserIdentity, ...]:
    """The requester's addresses; none where Zendesk does not tell: then nothing counts as verified."""
    try:
        return client.identities(user_id)
    except (NotFound, Forbidden):
        return ()


def _asking(comments: tuple[Comment, ...], ticket: Ticket, staff: frozenset[int]) -> Comment | None:
    """The newest public comment that no agent of ours wrote; else the first public one."""
    public = [comment for comment in comments if comment.public]
    for comment in public:
        if comment.author_id == ticket.requester_id or comment.author_id not in staff:
            return comment
    return public[-1] if public else None


def _staff(
    client: ZendeskClient, comments: tuple[Comment, ...], ticket: Ticket, known: Mapping[int, User]
) -> frozenset[int]:  # fmt: skip
    """Authors of public comments, other than the requester, who are agents here."""
    authors = {comment.author_id for comment in comments if comment.public} - {ticket.requester_id, None}
    people = [known.get(one) or client.user(one) for one in authors if one is not None]
    return frozenset(one.id for one in people if one.role in {"agent", "admin"})


def _requester(ticket: Ticket, user: User, identities: tuple[UserIdentity, ...], asking: Comment | None) -> Requester:
    return Requester(
        email=user.email,
        name=user.name,
        locale=user.locale,
        verification=_verification(user.email, identities),
        comment_flags=frozenset(asking.flags) if asking else frozenset(),
        author_is_requester=asking is None or asking.author_id == ticket.requester_id,
        sender_address=asking.source_address if asking else None,
    )


def _verification(email: str | None, identities: tuple[UserIdentity, ...]) -> Verification:
    """How Zendesk verified exactly the requester's e-mail address; an unknown word counts as not at all."""
    for identity in identities:
        if identity.type == "email" and email is not None and identity.value.casefold() == email.casefold():
            return next((v for v in Verification if v.value == identity.verification_method), Verification.NONE)
    return Verification.NONE
