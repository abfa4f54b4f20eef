"""Packages that bring fronts, as they are when installed: a module and its metadata in a folder."""

from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

ECHO = '''
import trio
from chinwag.http.api.front import Front
from chinwag.http.api.listeners import FrontListener

async def serve(engine, connection):
    """Echo lines. "in" logs in, "bug" is one, "group" is one in a nursery, "bye" is the end."""
    while line := await connection.stream.receive_some():
        match line.strip():
            case b"in":
                connection.logged_in()
            case b"bug":
                raise RuntimeError("a bug in a front")
            case b"group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    raise RuntimeError("a bug beside a task")
            case b"bye":
                await connection.stream.send_all(b"goodbye")
                return
        await connection.stream.send_all(line)

FRONT = Front(
    name="echo", title="Echo", description="Says it again.",
    listeners=(FrontListener(name="echo", title="Echo", port=7, serve=serve),),
)
'''


def install(folder: Path, module: str, source: str, **entries: str) -> list[EntryPoint]:
    """Put a package of one module into a folder, with its entry points: `front_name="module:FRONT"`."""
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(source)
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    lines = "".join(f"{name.replace('_', '-')} = {value}\n" for name, value in entries.items())
    (metadata / "entry_points.txt").write_text(f"[chinwag.fronts]\n{lines}")
    return list(PathDistribution(metadata).entry_points)
