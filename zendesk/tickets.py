"""Which comment carries the request, and who wrote it? From Zendesk's ticket, comments, user and identities."""

from __future__ import annotations

from billing.evidence import Requester, TicketText, Verification
from integrations.zendesk_client import Comment, Identity, Ticket, User, ZendeskClient


def read_request(client: ZendeskClient, ticket_id: int) -> tuple[Ticket, TicketText, Requester]:
    """The ticket, the text of its newest public comment by a customer, and what is known of the writer.

    Raises OutsideError (NotFound for a ticket that is not there).
    """
    ticket = client.ticket(ticket_id)
    comments = client.comments(ticket_id)
    user = client.user(ticket.requester_id)
    identities = client.identities(ticket.requester_id)
    asking = _asking(comments, ticket)
    text = TicketText(
        subject=ticket.subject or "",
        body=asking.plain_body if asking else (ticket.description or ""),
        channel=ticket.channel or "email",
    )
    return ticket, text, _requester(ticket, user, identities, asking)


def _asking(comments: tuple[Comment, ...], ticket: Ticket) -> Comment | None:
    """The newest public comment that no agent of ours wrote; else the first public one."""
    public = [comment for comment in comments if comment.public]
    for comment in public:
        if not comment.by_agent or comment.author_id == ticket.requester_id:
            return comment
    return public[-1] if public else None


def _requester(ticket: Ticket, user: User, identities: tuple[Identity, ...], asking: Comment | None) -> Requester:
    return Requester(
        email=user.email,
        name=user.name,
        locale=user.locale,
        verification=_verification(user.email, identities),
        comment_flags=frozenset(asking.flags) if asking else frozenset(),
        author_is_requester=asking is None or asking.author_id == ticket.requester_id,
        sender_address=asking.sender_address if asking else None,
    )


def _verification(email: str | None, identities: tuple[Identity, ...]) -> Verification:
    """How Zendesk verified exactly the requester's e-mail address; an unknown word counts as not at all."""
    for identity in identities:
        if identity.type == "email" and email is not None and identity.value.casefold() == email.casefold():
            return next((v for v in Verification if v.value == identity.verification_method), Verification.NONE)
    return Verification.NONE
