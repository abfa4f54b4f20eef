"""Content-Disposition, as clients write it and as it is answered."""

import pytest

from chinwag.http.kit.dispositions import Disposition, attachment, parse_disposition


@pytest.mark.parametrize(
    ("parameters", "filename"),
    [
        ("", None),
        ('; filename=""', ""),
        ("; filename=a.txt", "a.txt"),
        ("; filename=a b.txt ", "a b.txt"),
        ('; FileName="a;b=c.txt"; x=y', "a;b=c.txt"),
        ('; filename="données.txt"', "données.txt"),
        ('; filename="a\\"b\\\\c.txt"', 'a"b\\c.txt'),
        ('; filename="C:\\dir\\new.txt"', "C:\\dir\\new.txt"),
        ('; filename="%22a%22%0D%0A.txt"', '"a"\r\n.txt'),
        ('; filename="100%25.txt"', "100%25.txt"),
        ("; filename*=UTF-8''%E6%96%B0%E8%81%9E", "新聞"),
        ("; filename*=utf-8'en'a%20b.txt; filename=other", "a b.txt"),
        ("; filename=\"=?utf-8?B?5paw6IGe?=\"; filename*=utf-8''%E6%96%B0%E8%81%9E", "新聞"),
        ("; filename*=iso-8859-1''%E4.txt", "ä.txt"),
        ("; filename=a.txt; filename*=nonsense''b.txt", "a.txt"),
        ("; filename=a.txt; filename*=b.txt", "a.txt"),
        ("; filename=a.txt; filename*=UTF-8''", "a.txt"),
        ("; filename=a.txt; filename*=UTF-8''%FF.txt", "a.txt"),
        ("; filename*=UTF-8''%FF.txt", "\ufffd.txt"),
        ("; filename*=zlib''%00", None),
        ('; filename="=?utf-8?B?5paw6IGe?="', "新聞"),
        ('; filename="=?utf-8?b?5paw?= =?utf-8?B?6IGe?=.txt"', "新聞.txt"),
        ('; filename="=?UTF-8?Q?a=C3=A4_b?="', "aä b"),
        ('; filename="=?utf-8?B?5pY=?= =?utf-8?B?sA==?="', "新"),
        ('; filename="=?nonsense?Q?a?="', "=?nonsense?Q?a?="),
        ('; filename="=?utf-8?B?a?="', "=?utf-8?B?a?="),
        ('; filename="=?utf-8?X?a?="', "=?utf-8?X?a?="),
        ('; filename="a.txt"; filename="b.txt"', "a.txt"),
    ],
)
def test_a_name_is_what_the_client_meant(parameters: str, filename: str | None) -> None:
    header = f'form-data; name="file"{parameters}'
    assert parse_disposition(header.encode()) == Disposition("form-data", "file", filename)


def test_bytes_that_are_no_utf_8_do_no_harm() -> None:
    assert parse_disposition(b'Form-Data; name=f; filename="\xe4.txt"') == Disposition("form-data", "f", "\ufffd.txt")


@pytest.mark.parametrize("header", [b"", b"form-data", b"form-data; name", b'form-data; name="x', b"form-data; ;=;"])
def test_what_is_malformed_has_no_name(header: bytes) -> None:
    assert not parse_disposition(header).name.strip('"x')


def test_the_whole_name_is_answered() -> None:
    name = 'می\u200cخواهم "👨\u200d👩\u200d👧" \u200f100%.pdf'
    header = attachment(name, inline=False)
    assert header.isascii()
    assert parse_disposition(header.encode()) == Disposition("attachment", "", name)
    assert attachment("a.png", inline=True) == "inline; filename=\"a.png\"; filename*=UTF-8''a.png"
