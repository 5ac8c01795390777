"""What may the sidebar send? One schema a body; unknown keys are dropped, a wrong one is named in the refusal."""

from __future__ import annotations

from marshmallow import EXCLUDE, Schema, fields, validate

from billing.evidence import Bucket

_STORABLE = validate.Regexp(r"[^\x00\ud800-\udfff]*\Z")  # text that both databases can hold


class _Body(Schema):
    class Meta:
        unknown = EXCLUDE


class _FollowUp(_Body):
    body = fields.Str(load_default="", validate=[validate.Length(max=20_000), _STORABLE])
    deliver = fields.Str(load_default="draft", validate=validate.OneOf(["draft", "public_reply", "none"]))


class ApprovalSchema(_Body):
    """Contract section 6."""

    plan_digest = fields.Str(required=True, validate=validate.Regexp(r"sha256:[0-9a-f]{64}\Z"))
    steps = fields.List(fields.Str(validate=validate.Length(1, 16)), required=True, validate=validate.Length(1, 50))
    follow_up = fields.Nested(_FollowUp, load_default=lambda: {"body": "", "deliver": "none"})
    file_issue = fields.Bool(load_default=False)
    confirm = fields.Str(load_default=None, allow_none=True, validate=validate.Length(max=40))


class CorrectionSchema(_Body):
    bucket = fields.Str(required=True, validate=validate.OneOf([b.value for b in Bucket if b is not Bucket.UNDECIDED]))
    why = fields.Str(load_default="", validate=[validate.Length(max=400), _STORABLE])


class UndoSchema(_Body):
    step = fields.Str(required=True, validate=validate.Length(1, 16))


class ChoiceSchema(_Body):
    customer = fields.Str(required=True, validate=validate.Regexp(r"cus_[A-Za-z0-9]{1,80}\Z"))


class LookupSchema(_Body):
    query = fields.Str(required=True, validate=[validate.Length(3, 254), _STORABLE])
