"""Summaries. As `wire`, pure functions."""

from typing import Literal

import msgspec

from chinwag.engine.model import values as model
from chinwag.http.fronts.chatrooms.wire import Id, Time, encode
from chinwag.http.kit.times import rfc3339


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`encrypted_left_out` counts the messages of that time that the server cannot read."""

    id: Id
    chatroom_id: Id
    summary_text: str
    summary_type: Literal["automatic", "manual"]
    message_count: int
    start_date: Time
    end_date: Time
    participants: list[Id]
    keywords: list[str]
    sentiment_score: float
    language: str
    created_at: Time
    encrypted_left_out: int


class OneSummary(msgspec.Struct, frozen=True, kw_only=True):
    summary: Summary


def summary(s: model.Summary) -> Summary:
    return Summary(
        id=encode(s.id),
        chatroom_id=encode(s.room_id),
        summary_text=s.text,
        summary_type="automatic" if s.automatic else "manual",
        message_count=s.message_count,
        start_date=rfc3339(s.first_us),
        end_date=rfc3339(s.last_us),
        participants=[encode(user_id) for user_id in s.participants],
        keywords=list(s.keywords),
        sentiment_score=s.sentiment,
        language=s.language,
        created_at=rfc3339(s.created_us),
        encrypted_left_out=s.left_out,
    )
