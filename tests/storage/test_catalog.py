"""The catalog: what is put in comes out, in SQLite and in PostgreSQL alike."""

import dataclasses

import pytest

from storage.blob import Fingerprint
from storage.catalog import Catalog
from storage.catalog_records import FileDigest, LinkRecord, TokenRecord
from storage.errors import AlreadyExists, NotFound

DAY = 86_400


def digest(path: bytes, **others: object) -> FileDigest:
    record = FileDigest(path, 5, 6, 7, 8, b"s" * 32, 9, computed_at=10)
    return dataclasses.replace(record, **others)  # type: ignore[arg-type]


def paths(catalog: Catalog, below: bytes) -> list[bytes]:
    return [record.path for record in catalog.digests_below(below)]


KEPT = [
    # record                                                                        id
    (digest(b"a"), "plain"),
    (digest(b"a\xff\xfe\n'\"%_"), "path-of-any-bytes"),
    (digest(b"a", size=2**63 - 1), "largest-size"),
    (digest(b"a", inode=2**64 - 1), "inode-beyond-signed"),
    (digest(b"a", modified_ns=-1), "before-1970"),
    (digest(b"a", crc32=2**32 - 1), "largest-crc"),
    (digest(b"a", piece_length=1 << 20, pieces=b"p" * 32 * 4096), "most-pieces"),
]


@pytest.mark.parametrize("record", [row[0] for row in KEPT], ids=[row[1] for row in KEPT])
def test_a_digest_comes_out_as_it_went_in(catalog: Catalog, record: FileDigest) -> None:
    catalog.put_digests([record])
    assert catalog.digest_of(record.path) == record


def test_a_digest_is_of_the_state_in_its_fingerprint() -> None:
    assert digest(b"a").fingerprint == Fingerprint(size=5, modified_ns=6, changed_ns=7, inode=8)


def test_a_time_that_no_database_holds_never_counts_as_unchanged(catalog: Catalog) -> None:
    record = digest(b"a", modified_ns=2**63)  # the year 2262
    catalog.put_digests([record])
    found = catalog.digest_of(b"a")
    assert found is not None
    assert found.fingerprint != record.fingerprint


def test_a_later_digest_replaces_the_one_before(catalog: Catalog) -> None:
    catalog.put_digests([digest(b"a"), digest(b"a", size=1)])
    catalog.put_digests([digest(b"a", size=2)])
    assert catalog.digest_of(b"a") == digest(b"a", size=2)
    assert catalog.count_digests() == 1


def test_an_unknown_path_has_no_digest(catalog: Catalog) -> None:
    assert catalog.digest_of(b"a") is None


BELOW = [
    # folder    what is at and below it                                    id
    (b"", [b"a", b"a-b", b"a/b", b"a/b/c", b"a/\xff", b"a0", b"b"], "root"),
    (b"a", [b"a", b"a/b", b"a/b/c", b"a/\xff"], "not-what-only-begins-alike"),
    (b"a/b", [b"a/b", b"a/b/c"], "nested"),
    (b"b", [b"b"], "file"),
    (b"c", [], "nothing"),
]


@pytest.mark.parametrize(("folder", "expected"), [r[:2] for r in BELOW], ids=[r[2] for r in BELOW])
def test_digests_below_are_those_of_a_folder_in_order(
    catalog: Catalog, folder: bytes, expected: list[bytes]
) -> None:
    catalog.put_digests([digest(path) for path in (b"b", b"a", *BELOW[0][1])])
    assert paths(catalog, folder) == expected


def test_digests_by_the_thousands_come_whole_but_for_their_pieces(catalog: Catalog) -> None:
    records = [digest(b"a/%04d" % n, piece_length=1, pieces=b"p") for n in range(1_201)]
    catalog.put_digests(iter(records))
    assert [*catalog.digests_below(b"a")] == [
        dataclasses.replace(record, pieces=None) for record in records
    ]


def test_digests_since_a_revision_are_the_newest_first(catalog: Catalog) -> None:
    catalog.put_digests([digest(b"a")])
    before = catalog.revision()
    for path in (b"b", b"c", b"d"):
        catalog.put_digests([digest(path)])
    found = [[record.path for record in batch] for batch in catalog.digests_since(before, 2)]
    assert found == [[b"d", b"c"]]


FORGOTTEN = [
    # forgotten        left                               id
    ([b"a"], [b"a-b", b"b"], "folder-and-all-below"),
    ([b"a/b", b"b"], [b"a", b"a-b"], "several"),
    ([b"c"], [b"a", b"a-b", b"a/b", b"a/b/c", b"b"], "unknown"),
    ([b""], [], "root"),
    ([], [b"a", b"a-b", b"a/b", b"a/b/c", b"b"], "none"),
]


@pytest.mark.parametrize(
    ("forgotten", "left"), [r[:2] for r in FORGOTTEN], ids=[r[2] for r in FORGOTTEN]
)
def test_forgotten_digests_are_gone(
    catalog: Catalog, forgotten: list[bytes], left: list[bytes]
) -> None:
    catalog.put_digests([digest(path) for path in (b"a", b"a-b", b"a/b", b"a/b/c", b"b")])
    catalog.forget_digests(forgotten)
    assert paths(catalog, b"") == left


MOVED = [
    # old    new      left                                          id
    (b"a", b"c", [b"a-b", b"b", b"c", b"c/b", b"c/b/c"], "folder"),
    (b"a", b"b", [b"a-b", b"b", b"b/b", b"b/b/c"], "onto-another"),
    (b"a/b", b"b", [b"a", b"a-b", b"b", b"b/c"], "deeper-to-the-top"),
    (b"b", b"a/b", [b"a", a_b := b"a-b", b"a/b"], "replaces-a-folder"),
    (b"a", b"a", [b"a", a_b, b"a/b", b"a/b/c", b"b"], "itself"),
]


@pytest.mark.parametrize(("old", "new", "left"), [r[:3] for r in MOVED], ids=[r[3] for r in MOVED])
def test_moved_digests_hold_for_the_new_names(
    catalog: Catalog, old: bytes, new: bytes, left: list[bytes]
) -> None:
    catalog.put_digests([digest(path) for path in (b"a", b"a-b", b"a/b", b"a/b/c", b"b")])
    catalog.move_digests(old, new)
    assert paths(catalog, b"") == left


def test_a_moved_file_has_the_change_time_of_its_renaming(catalog: Catalog) -> None:
    catalog.put_digests([digest(b"a"), digest(b"a/b")])
    catalog.move_digests(b"a", b"c", changed_ns=77)
    assert catalog.digest_of(b"c") == digest(b"c", changed_ns=77)
    assert catalog.digest_of(b"c/b") == digest(b"c/b")


def test_tokens_come_out_as_they_went_in_by_name(catalog: Catalog) -> None:
    written = [
        TokenRecord("b", b"2" * 32, "read", b"", 1),
        TokenRecord("ä", b"3" * 32, "admin", b"a/\xff", 1, expires_at=2),
        TokenRecord("a", b"1" * 32, "write", b"a", 1, 2, 3, 4),
    ]
    for record in written:
        catalog.put_token(record)
    assert sorted(catalog.tokens(), key=lambda token: token.secret_hash) == [
        written[2],
        written[0],
        written[1],
    ]


def test_the_name_of_a_token_is_never_used_again(catalog: Catalog) -> None:
    catalog.put_token(TokenRecord("a", b"1" * 32, "read", b"", 1))
    catalog.revoke_token("a", 5)
    with pytest.raises(AlreadyExists, match="a token of this name"):
        catalog.put_token(TokenRecord("a", b"2" * 32, "read", b"", 6))


def test_a_token_is_revoked_once(catalog: Catalog) -> None:
    catalog.put_token(TokenRecord("a", b"1" * 32, "read", b"", 1))
    catalog.revoke_token("a", 5)
    catalog.revoke_token("a", 6)
    assert [token.revoked_at for token in catalog.tokens()] == [5]


def test_revoking_an_unknown_token_is_refused(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="no token of this name"):
        catalog.revoke_token("a", 5)


def test_the_use_of_a_token_is_noted_without_a_new_revision(catalog: Catalog) -> None:
    catalog.put_token(TokenRecord("a", b"1" * 32, "read", b"", 1))
    before = catalog.revision()
    catalog.note_token_use("a", 9)
    assert catalog.tokens()[0].last_used_at == 9
    assert catalog.revision() == before


def test_each_change_raises_the_revision_and_shows_what_it_changed(catalog: Catalog) -> None:
    assert catalog.revision() == 0
    catalog.put_link(LinkRecord("one", "k", b"a", False, 1))
    catalog.put_link(LinkRecord("two", "k", b"b", True, 1, 2, 3, 4, "::1", True))
    assert catalog.revision() == 2
    assert [link.link_id for link in catalog.links_since(1)] == ["two"]
    catalog.revoke_link("one", 5)
    assert [link.link_id for link in catalog.links_since(2)] == ["one"]


def test_links_come_out_as_they_went_in(catalog: Catalog) -> None:
    written = [
        LinkRecord("one", "k", b"a\xff", False, 1),
        LinkRecord("two", "k", b"b", True, 1, 2, 3, 4, "::1", True, 6),
    ]
    for record in written:
        catalog.put_link(record)
    assert catalog.links() == written
    with pytest.raises(AlreadyExists):
        catalog.put_link(written[0])


def test_links_of_one_second_come_out_in_the_order_they_were_made_in(catalog: Catalog) -> None:
    made = ["m", "z", "a", "q"]
    for link_id in made:
        catalog.put_link(LinkRecord(link_id, "k", b"a", False, created_at=1))
    assert [link.link_id for link in catalog.links()] == made


def test_a_link_that_another_program_made_can_be_revoked(catalog: Catalog) -> None:
    catalog.revoke_link("strange", 5)
    catalog.revoke_link("strange", 6)
    [link] = catalog.links()
    assert (link.link_id, link.path, link.revoked_at) == ("strange", None, 5)


def test_links_are_forgotten_a_month_after_they_expired(catalog: Catalog) -> None:
    catalog.put_link(LinkRecord("old", "k", b"a", False, created_at=0, expires_at=10))
    catalog.put_link(LinkRecord("for ever", "k", b"a", False, created_at=0))
    assert catalog.claim_delivery("old", b"x", 1, 1, DAY)
    catalog.put_link(LinkRecord("day 30", "k", b"a", False, created_at=10 + 30 * DAY))
    assert {link.link_id for link in catalog.links()} == {"old", "for ever", "day 30"}
    catalog.put_link(LinkRecord("later", "k", b"a", False, created_at=11 + 30 * DAY))
    assert {link.link_id for link in catalog.links()} == {"for ever", "day 30", "later"}
    assert catalog.deliveries("old") == 0


DELIVERIES = [
    # requests of clients at seconds, with a limit of 2 and a window of 100; which are let in    id
    ([(b"a", 0), (b"a", 100), (b"a", 200)], [True, True, True], 1, "renewed-by-each-request"),
    ([(b"a", 0), (b"a", 101)], [True, True], 2, "a-new-one-after-the-window"),
    ([(b"a", 0), (b"b", 0), (b"c", 0), (b"a", 9)], [True, True, False, True], 2, "third-client"),
    ([(b"a", 0), (b"a", 101), (b"a", 202)], [True, True, False], 2, "used-up-by-one-client"),
    ([(b"a", 5), (b"a", 0)], [True, True], 1, "clock-set-back"),
]


@pytest.mark.parametrize(
    ("requests", "answers", "count"), [r[:3] for r in DELIVERIES], ids=[r[3] for r in DELIVERIES]
)
def test_requests_of_one_client_are_one_delivery(
    catalog: Catalog, requests: list[tuple[bytes, int]], answers: list[bool], count: int
) -> None:
    found = [catalog.claim_delivery("link", client, 2, now, 100) for client, now in requests]
    assert found == answers
    assert catalog.deliveries("link") == count
    assert catalog.deliveries("another") == 0


def test_a_whole_request_after_all_bytes_is_a_delivery_of_its_own(catalog: Catalog) -> None:
    assert catalog.claim_whole_delivery("link", b"a", 2, 0, 100)
    assert catalog.claim_whole_delivery("link", b"a", 2, 1, 100)
    assert catalog.deliveries("link") == 1
    catalog.complete_delivery("link", b"a", 2)
    assert catalog.claim_delivery("link", b"a", 2, 3, 100)
    assert catalog.deliveries("link") == 1
    assert catalog.claim_whole_delivery("link", b"a", 2, 4, 100)
    assert catalog.deliveries("link") == 2
    catalog.complete_delivery("link", b"a", 5)
    assert not catalog.claim_whole_delivery("link", b"a", 2, 6, 100)


def test_completing_what_nobody_claimed_does_nothing(catalog: Catalog) -> None:
    catalog.complete_delivery("link", b"a", 2)
    assert catalog.deliveries("link") == 0


def test_events_are_told_the_newest_first(catalog: Catalog) -> None:
    for second in range(3):
        catalog.note_event(second, "token ä", "uploaded", b"a\xff", f"{second} bytes")
    newest, second_newest = catalog.events(2)
    assert (newest.at, newest.who, newest.deed) == (2, "token ä", "uploaded")
    assert (newest.path, newest.detail) == (b"a\xff", "2 bytes")
    assert second_newest.at == 1
    assert [event.at for event in catalog.events(9, before=second_newest.number)] == [0]


def test_an_event_has_room_for_no_novel(catalog: Catalog) -> None:
    catalog.note_event(1, "w" * 10_000, "uploaded", None, "d" * 10_000)
    assert [(len(e.who), len(e.detail)) for e in catalog.events(1)] == [(2_000, 2_000)]


def test_text_that_databases_refuse_is_noted_all_the_same(catalog: Catalog) -> None:
    catalog.note_event(1, "a\0b\udcffc", "uploaded", None, "x\0")
    assert [(e.who, e.detail) for e in catalog.events(1)] == [("a\\0b\\udcffc", "x\\0")]
