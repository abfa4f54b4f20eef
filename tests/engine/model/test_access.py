"""Who may read a room: what a stranger is told, and how members stand to each other."""

from collections.abc import Callable

import pytest

from chinwag.engine.model.access import require_author, require_member, with_equal_roles
from chinwag.engine.model.errors import NotAMember, NotFound
from chinwag.engine.model.ids import UserId
from chinwag.engine.model.store import Access
from chinwag.engine.model.values import Role, Room, direct_key
from chinwag.engine.testing.values import make_member, make_room

ANN, BOB, CAT = UserId(1), UserId(2), UserId(3)
GROUP = make_room(10, ANN)
DIRECT = make_room(11, ANN, direct_key=direct_key(ANN, BOB))


def test_a_member_is_let_through() -> None:
    assert require_member(Access(room=GROUP, member=make_member(ANN))) is GROUP


def test_a_stranger_is_told_that_they_are_no_member() -> None:
    with pytest.raises(NotAMember):
        require_member(Access(room=GROUP, member=None))


@pytest.mark.parametrize("asked", [require_member, lambda access: require_author(access, ANN)])
def test_where_there_is_no_room_nobody_is_a_stranger(asked: Callable[[Access], Room]) -> None:
    with pytest.raises(NotFound) as refused:
        asked(Access(room=None, member=None))
    assert refused.value.what == "room"


def test_who_has_left_a_direct_room_may_still_write_in_it_and_nobody_else() -> None:
    left = Access(room=DIRECT, member=None)
    assert require_author(left, ANN) is require_author(left, BOB) is DIRECT
    with pytest.raises(NotAMember):
        require_author(left, CAT)
    with pytest.raises(NotAMember):
        require_member(left)


def test_who_has_left_a_group_may_not() -> None:
    with pytest.raises(NotAMember):
        require_author(Access(room=GROUP, member=None), ANN)


def test_the_two_of_a_direct_room_are_equals_and_a_groups_members_are_not() -> None:
    members = (make_member(ANN, role=Role.ADMIN), make_member(BOB))
    assert [each.role for each in with_equal_roles(DIRECT, members)] == [Role.MEMBER, Role.MEMBER]
    assert with_equal_roles(GROUP, members) == members
