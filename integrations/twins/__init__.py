"""Twins: Stripe, Zendesk and GitHub on the loopback, as strict as the originals. They import no product code."""
