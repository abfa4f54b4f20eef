"""Handlers for messages, search and summaries. Source: chatrooms spec, "Message Endpoints"."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chinwag.engine.model import values as model
from chinwag.engine.model.errors import Forbidden, NotAMember
from chinwag.engine.model.ids import NOBODY, MessageId, RoomId, UserId
from chinwag.http.api.requests import Reply, Request
from chinwag.http.fronts.chatrooms import requests, wire, wire_summaries
from chinwag.http.fronts.chatrooms.accounts import success
from chinwag.http.fronts.chatrooms.errors import Coded
from chinwag.http.fronts.chatrooms.links import CallerLinks
from chinwag.http.fronts.chatrooms.posting import as_sealed, content_command
from chinwag.http.kit.idempotency import message_key
from chinwag.http.kit.search_answers import completeness
from chinwag.http.kit.times import rfc3339

Plain = Request[None, None]


async def send_message(request: Request[requests.SendMessage, None]) -> Reply:
    """Post a message; returns once it is durable."""
    room_id = request.path_id("chatroom_id", RoomId)
    key = message_key(request.headers, request.body.client_id, most=requests.MAX_CLIENT_ID)
    command = await content_command(request.engine, room_id, request.user, request.body, key=key)
    return _one(request, await request.engine.messages.submit(room_id, command), "Message sent")


async def list_messages(request: Request[None, requests.MessagesQuery]) -> Reply:
    """A page of messages, newest first."""
    query = request.query
    skip = (query.page - 1) * query.limit
    found, total = await request.engine.messages.history_between(
        request.path_id("chatroom_id", RoomId),
        request.user,
        after_us=requests.microseconds(query.after),
        before_us=requests.microseconds(query.before),
        skip=skip,
        limit=query.limit,
    )
    links = CallerLinks(request)
    has_more = total > skip + len(found)
    pagination = wire.MessagesPagination(
        page=query.page,
        limit=query.limit,
        total=total,
        has_more=has_more,
        next_before=rfc3339(found[-1].message.created_us) if has_more and found else None,
    )
    return success(wire.Messages(messages=[wire.message(each.message, links) for each in found], pagination=pagination))


async def get_message(request: Plain) -> Reply:
    """One message."""
    room_id, shown = _place(request)
    return _one(request, await request.engine.messages.get(room_id, request.user, shown))


async def edit_message(request: Request[requests.EditMessage, None]) -> Reply:
    """Replace the content of one of the caller's own messages."""
    room_id, edited = _place(request)
    with _denied("MESSAGE_EDIT_DENIED"):
        viewed = await request.engine.messages.edit_sealed(
            room_id, request.user, edited, sealed=as_sealed(request.body.content), most_characters=requests.MAX_TEXT
        )
    return _one(request, viewed, "Message edited")


async def delete_message(request: Plain) -> Reply:
    """Remove a message: one's own, or any as the chatroom's owner or moderator."""
    room_id, deleted = _place(request)
    with _denied("MESSAGE_DELETE_DENIED"):
        await request.engine.messages.delete(room_id, request.user, deleted)
    return Reply(wire.Done(message="Message deleted"))


async def mark_read(request: Plain) -> Reply:
    """The caller read this message and all before it."""
    room_id, read = _place(request)
    await request.engine.messages.mark_read(room_id, request.user, read)
    return Reply(wire.Done(message="Marked as read"))


async def add_reaction(request: Request[requests.React, None]) -> Reply:
    """React with an emoji. Twice is once."""
    room_id, to = _place(request)
    return _one(
        request,
        await request.engine.messages.add_reaction(room_id, request.user, to, request.body.emoji),
        "Reaction added",
    )


async def remove_reaction(request: Plain) -> Reply:
    """Take a reaction back."""
    room_id, to = _place(request)
    viewed = await request.engine.messages.remove_reaction(room_id, request.user, to, request.path_text("emoji"))
    return _one(request, viewed, "Reaction removed")


async def search_messages(request: Request[requests.Search, None]) -> Reply:
    """Messages with the query's words, the most relevant first."""
    body = request.body
    room_id = request.path_id("chatroom_id", RoomId)
    author = None if body.user_id is None else UserId(request.ids.decode(body.user_id) or NOBODY)
    found = await request.engine.messages.search_ranked(
        request.user,
        room_id,
        body.query,
        kind=None if body.message_type is None else wire.KIND_OF[body.message_type],
        author=author,
        after_us=requests.microseconds(body.date_from),
        before_us=requests.microseconds(body.date_to),
        limit=body.limit,
    )
    if author is not None and not found.results:
        await request.engine.accounts.user(author)  # after the search, which first of all asks who may search here
    links = CallerLinks(request)
    results = [
        wire.SearchResult(
            message=wire.message(each.viewed.message, links),
            relevance_score=each.relevance,
            matched_terms=list(each.matched_terms),
            context=wire.Context(before=each.context.before, match=each.context.match, after=each.context.after),
        )
        for each in found.results
    ]
    return success(
        wire.SearchResults(
            results=results,
            total_results=found.total,
            search_time_ms=found.took_us // 1000,
            total_is_exact=found.total_is_exact,
            encrypted_left_out=found.opaque,
            complete=found.complete,
        ),
        headers=completeness(found.complete),
    )


# --- summaries ----------------------------------------------------------------------------------------------------


async def get_summary(request: Request[None, requests.SummaryQuery]) -> Reply:
    """The newest summary there is."""
    query = request.query
    automatic = None if query.summary_type is None else query.summary_type == "automatic"
    found = await request.engine.summaries.latest(
        request.path_id("chatroom_id", RoomId),
        request.user,
        after_us=requests.microseconds(query.date_from),
        before_us=requests.microseconds(query.date_to),
        automatic=automatic,
    )
    return success(wire_summaries.OneSummary(summary=wire_summaries.summary(found)))


async def make_summary(request: Request[requests.MakeSummary, None]) -> Reply:
    """Make a summary of the messages in a time, or of the newest ones."""
    body = request.body
    made = await request.engine.summaries.generate(
        request.path_id("chatroom_id", RoomId),
        request.user,
        after_us=requests.microseconds(body.date_from),
        before_us=requests.microseconds(body.date_to),
        prompt=body.custom_prompt,
    )
    return success(wire_summaries.OneSummary(summary=wire_summaries.summary(made)), "Summary created")


# --- pieces -------------------------------------------------------------------------------------------------------


def _place(request: Request[Any, Any]) -> tuple[RoomId, MessageId]:
    return request.path_id("chatroom_id", RoomId), request.path_id("message_id", MessageId)


def _one(request: Request[Any, Any], viewed: model.ViewedMessage, message: str = "OK") -> Reply:
    return success(wire.OneMessage(message=wire.message(viewed.message, CallerLinks(request))), message)


@contextmanager
def _denied(code: str) -> Iterator[None]:
    """A member who may not do this to a message gets the message's own code, not that of any resource."""
    try:
        yield
    except NotAMember:
        raise
    except Forbidden as error:
        raise Coded(403, code, error.message) from error
