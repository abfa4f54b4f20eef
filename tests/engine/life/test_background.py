"""Tasks of an engine's: what one raises is nobody else's business."""

import structlog.testing
import trio
import trio.testing

from chinwag.engine.life.background import Background


async def test_what_a_task_raises_is_logged_and_ends_no_other() -> None:
    done = trio.Event()
    got: list[object] = []

    async def fails() -> None:
        raise ZeroDivisionError

    async def goes_on(*args: object) -> None:
        await trio.testing.wait_all_tasks_blocked()
        got.extend(args)
        done.set()

    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            background = Background(nursery)
            background.spawn(fails)
            background.spawn(goes_on, 1, "two")
            await done.wait()
    assert got == [1, "two"]
    [logged] = [each for each in logs if each["event"] == "task failed"]
    assert logged["task"].endswith("fails")


async def test_cancellation_is_no_failure() -> None:
    async def waits() -> None:
        await trio.sleep_forever()

    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            Background(nursery).spawn(waits)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert logs == []
