"""What the worker process that makes pictures answers: see `pictures` and `picture_rendering`."""

import msgspec


class Rendered(msgspec.Struct, frozen=True):
    """What was made of an image: a thumbnail, which is a JPEG or (with transparency) a PNG; and an avatar, if one was
    asked for, of the same type as the image."""

    thumbnail: bytes
    avatar: bytes | None = None
