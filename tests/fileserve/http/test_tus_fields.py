"""The fields of tus 1.0.0, by the headings of https://tus.io/protocols/resumable-upload."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.http.tus import (
    Checksum,
    Continuation,
    Creation,
    Final,
    Partial,
    Refused,
    Whole,
    expires_field,
    has_upload,
    is_upload_id,
    is_version_spoken,
    parse_checksum,
    parse_concatenation,
    parse_continuation,
    parse_creation,
    parse_length,
    parse_metadata,
    tus_fields,
    upload_id_of,
)

ID = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
OFFSET_STREAM = {"content-type": "application/offset+octet-stream"}

LENGTHS = [
    # field value number id
    ("0",         0,    "nothing"),
    ("100",       100,  "plain"),
    ("007",       7,    "leading-zeros"),
    ("9223372036854775807", 2**63 - 1, "the-largest-file"),
    ("9223372036854775808", None, "one-past-the-largest"),
    ("9" * 5000,  None, "more-digits-than-any-number"),
    ("-1",        None, "negative"),
    ("+1",        None, "a-sign"),
    ("1.0",       None, "a-fraction"),
    (" 1",        None, "a-space"),
    ("",          None, "empty"),
    ("\u0663",    None, "digits-are-ascii"),
    (",",         None, "a-repeated-field"),
]  # fmt: skip

METADATA = [
    # field value                values          id
    ("filename d29ybGQ=",        {"filename": b"world"}, "one"),
    ("filename d29ybGQ=,is", {"filename": b"world", "is": b""}, "spec"),
    ("a YQ==, b Yg==",           {"a": b"a", "b": b"b"}, "space-after-comma"),
    ("a ",                       {"a": b""},     "empty-value"),
    ("",                         {},             "nothing"),
    ("a /w==",                   {"a": b"\xff"}, "any-bytes"),
    ("a YQ==,a Yg==",            None,           "keys-are-unique"),
    ("a YQ",                     None,           "no-padding"),
    ("a Y Q==",                  None,           "a-space-inside"),
    ("a !!!!",                   None,           "not-base64"),
    (",",                        None,           "a-repeated-field"),
    ("a YQ==,",                  None,           "an-empty-pair"),
    ("\xe4 YQ==",                None,           "keys-are-ascii"),
    ("a " + "QUJD" * 4096, None, "too-long"),
]  # fmt: skip

CONCATENATIONS = [
    # field value                               meaning       id
    (None,                                      Whole(),      "absent"),
    ("partial",                                 Partial(),    "partial"),
    (f"final;/-/uploads/{ID}",                  Final((ID,)), "one-part"),
    (f"final;/-/uploads/{ID} /-/uploads/{OTHER}", Final((ID, OTHER)), "in-order"),
    (f"final;https://a.example/x/-/uploads/{ID}", Final((ID,)), "absolute"),
    (f"final; /-/uploads/{ID} /-/uploads/{ID}", Final((ID, ID)), "twice-one"),
    ("final;",                                  400,          "no-parts"),
    ("final",                                   400,          "no-list"),
    (f"final;/-/uploads/{ID}x",                 400,          "not-an-id"),
    (f"final;/-/uploads/{ID} /etc/passwd",      400,          "one-is-none"),
    ("final;/-/uploads/../" + ID,               400,          "dots"),
    (f"final;http://h\xfc.example/-/uploads/{ID}", 400,       "not-ASCII"),  # RFC 3986
    (f"final;http://a.example/?x=/-/uploads/{ID}", 400,       "in-a-query"),
    ("final;" + f" /-/uploads/{ID}" * 1001,     400,          "too-many"),
    ("Partial",                                 400,          "case-matters"),
    ("",                                        400,          "empty"),
]  # fmt: skip

A_PART = Creation(5, Partial(), written_concatenation="partial")
A_FINAL = Creation(None, Final((ID,)), written_concatenation=f"final;/-/uploads/{ID}")
CREATIONS = [
    # Upload-... fields                                  meaning         id
    ({"length": "100"},                                  Creation(100),  "plain"),
    ({"length": "0"},                                    Creation(0),    "empty-file"),
    ({"defer-length": "1"},                              Creation(None), "deferred"),
    ({"length": "5", "concat": "partial"},               A_PART,         "a-part"),
    ({"concat": f"final;/-/uploads/{ID}"},               A_FINAL,        "final"),
    ({},                                                 400,            "no-length"),
    ({"length": "5", "defer-length": "1"},               400,            "both"),
    ({"defer-length": "0"},                              400,            "only-1"),
    ({"length": "-5"},                                   400,            "negative"),
    ({"length": "5", "concat": f"final;-/uploads/{ID}"}, 400,            "final-length"),
    ({"length": "5", "metadata": "a !"},                 400,            "metadata"),
]  # fmt: skip

_SHA1 = hashlib.sha1(b"hello").digest()
_SHA1_TEXT = base64.b64encode(_SHA1).decode()
HELLO = Checksum("sha1", _SHA1)

CONTINUATIONS = [
    # Upload-... fields                              meaning                   id
    ({"offset": "70"},                               Continuation(70, None, None), "plain"),
    ({"offset": "0", "length": "9"},                 Continuation(0, 9, None), "length-told-now"),
    ({"offset": "0", "checksum": "sha1 " + _SHA1_TEXT}, Continuation(0, None, HELLO), "checksum"),
    ({},                                             400,                      "no-offset"),
    ({"offset": "-1"},                               400,                      "negative"),
    ({"offset": "0", "length": "x"},                 400,                      "bad-length"),
    ({"offset": "0", "checksum": "crc32 AAAA"}, 400, "algorithm"),
]  # fmt: skip

CHECKSUMS = [
    # field value                is one id
    ("sha1 " + _SHA1_TEXT,       True, "sha1"),
    ("md5 XUFAKrxLKna5cZ2REBfFkg==", True, "md5"),
    ("sha256 " + "A" * 43 + "=", True, "sha256"),
    ("sha1",                     False, "no-value"),
    ("sha1 AAAA",                False, "too-short"),
    ("sha256 " + _SHA1_TEXT,     False, "of-another-length"),
    ("SHA1 " + _SHA1_TEXT,       False, "case-matters"),
    ("shake_128 " + _SHA1_TEXT,  False, "known-to-hashlib-only"),
    ("",                         False, "empty"),
]  # fmt: skip


def _cases(table: list[tuple]) -> list:
    return [pytest.param(*row[:-1], id=row[-1]) for row in table]


@pytest.mark.parametrize(("written", "number"), _cases(LENGTHS))
def test_a_length_is_a_number_that_a_file_can_have(written: str, number: int | None) -> None:
    assert parse_length(written) == number


@pytest.mark.parametrize(("written", "values"), _cases(METADATA))
def test_metadata_are_keys_with_base64_values(written: str, values: dict | None) -> None:
    assert parse_metadata(written) == values


@pytest.mark.parametrize(("written", "meaning"), _cases(CONCATENATIONS))
def test_concatenation_names_uploads_of_here(written: str | None, meaning: object) -> None:
    found = parse_concatenation(written)
    assert (found.status if isinstance(found, Refused) else found) == meaning


@pytest.mark.parametrize(("fields", "meaning"), _cases(CREATIONS))
def test_creation_tells_one_length_or_defers_it(fields: dict[str, str], meaning: object) -> None:
    found = parse_creation({f"upload-{name}": text for name, text in fields.items()})
    assert (found.status if isinstance(found, Refused) else found) == meaning


@pytest.mark.parametrize(("fields", "meaning"), _cases(CONTINUATIONS))
def test_continuation_names_its_offset(fields: dict[str, str], meaning: object) -> None:
    asked = {f"upload-{name}": text for name, text in fields.items()}
    found = parse_continuation({**OFFSET_STREAM, **asked})
    assert (found.status if isinstance(found, Refused) else found) == meaning


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", ",", "text/plain"])
def test_content_of_another_type_is_415(content_type: str) -> None:
    found = parse_continuation({"upload-offset": "0", "content-type": content_type})
    assert isinstance(found, Refused)
    assert found.status == 415


@pytest.mark.parametrize(("written", "is_one"), _cases(CHECKSUMS))
def test_checksums_are_of_the_announced_algorithms(written: str, is_one: bool) -> None:
    assert isinstance(parse_checksum(written), Checksum) is is_one


def test_a_checksum_fits_its_own_bytes_only() -> None:
    assert HELLO.fits(hashlib.sha1(b"hello").digest())
    assert not HELLO.fits(hashlib.sha1(b"hellO").digest())


def test_a_repeated_field_is_unreadable() -> None:
    fields = tus_fields([(b"upload-offset", b"1"), (b"Upload-Offset", b"1"), (b"x", b"\xff")])
    assert fields == {"upload-offset": ",", "x": "\xff"}


def test_only_version_1_0_0_is_spoken() -> None:
    assert is_version_spoken({"tus-resumable": "1.0.0"})
    assert not is_version_spoken({"tus-resumable": "0.2.2"})
    assert not is_version_spoken({})


def test_content_type_is_compared_without_case() -> None:
    assert has_upload({"content-type": "Application/Offset+Octet-Stream "})
    assert not has_upload({})


def test_expiry_is_a_date_of_rfc_9110() -> None:
    # The example of RFC 9110 section 5.6.7.
    assert expires_field(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.text(max_size=80))
def test_any_text_leads_to_no_other_id(text: str) -> None:
    for address in (text, f"/-/uploads/{text}", f"final;{text}"):
        upload_id = upload_id_of(address)
        assert upload_id is None or is_upload_id(upload_id)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.binary(max_size=40)))
def test_metadata_come_back(values: dict[str, bytes]) -> None:
    written = ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in values.items())
    assert parse_metadata(written) == values
