"""Messages over the chatrooms socket whose posting needs a look at the store first."""

import json

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from chinwag.engine.testing.harness import open_harness
from chinwag.http.fronts.chatrooms.socket import ChatroomsSocket
from chinwag.http.kit.links import Links
from chinwag.http.kit.uuid_ids import IDS


@pytest.mark.parametrize("logged_out", [False, True])
async def test_what_a_user_had_encrypted_is_posted_unless_they_were_logged_out_meanwhile(
    autojump_clock: MockClock, logged_out: bool
) -> None:
    async with open_harness() as h:
        ann = await h.join("ann")
        room = await h.room("tea", ann)
        client = await h.connect(ann, room)
        content = {"encrypted_data": "c2VjcmV0", "iv": "aXY=", "key_version": 1}
        data = {"chatroom_id": IDS.encode(room.id), "content": content}
        frame = json.dumps({"event": "send_message", "data": data})
        posting = ChatroomsSocket(Links()).receive(h.engine, client.session, frame)
        assert posting is not None
        if logged_out:
            await h.engine.accounts.log_out_everywhere(ann.id)
        await posting
        await wait_all_tasks_blocked()
        assert len(await h.engine.messages.history(room.id, ann.id, skip=0, limit=10)) == (0 if logged_out else 1)
