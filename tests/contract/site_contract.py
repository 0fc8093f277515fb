"""What every site must do. A driver's test module subclasses ``SiteContract`` and says how to make one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from hygie.sites.errors import ObjectAbsentError, ObjectExistsError, ObjectNameError, ObjectTruncatedError
from hygie.sites.site import Site

NAME = "packs/0123456789abcdef/000000000001.pack"
BIG_BYTES = 64 << 20

BAD_NAMES = {
    "empty": "",
    "absolute": "/packs/a",
    "parent": "packs/../a",
    "parent_alone": "..",
    "current": "packs/./a",
    "hidden": ".tmp/a",
    "double_slash": "packs//a",
    "final_slash": "packs/a/",
    "upper_case": "packs/A",
    "space": "packs/a b",
    "accent": "packs/é",
    "backslash": "packs\\a",
    "nul": "packs/a\0b",
    "newline": "packs/a\n",
    "dots_inside": "packs/a..b",
    "too_long": "packs/" + "a/" * 100 + "a",
    "long_segment": "packs/" + "a" * 150,
    "reserved": "site.json",
    "under_reserved": "site.json/a",
}


class SiteContract:
    """Run by pytest through its subclasses; ``make_site`` gives an empty, ready site each time."""

    @pytest.fixture
    def make_site(self) -> Callable[[], Site]:
        pytest.fail("the module of a driver says how to make its site")

    @pytest.fixture
    def site(self, make_site: Callable[[], Site]) -> Site:
        return make_site()

    def test_what_was_put_is_read_whole_and_by_ranges(self, site: Site) -> None:
        data = os.urandom(10_000)
        site.put(NAME, data)
        assert site.get(NAME) == data
        assert site.get(NAME, 100, 50) == data[100:150]
        assert site.get(NAME, 9_000) == data[9_000:]
        assert site.get(NAME, 0, 0) == b""
        assert site.get(NAME, 10_000, 0) == b""

    def test_an_empty_object_is_an_object(self, site: Site) -> None:
        site.put(NAME, b"")
        assert site.get(NAME) == b""
        assert list(site.list("packs/")) == [(NAME, 0)]

    def test_the_same_bytes_twice_are_welcome(self, site: Site) -> None:
        site.put(NAME, b"one")
        site.put(NAME, b"one")
        assert site.get(NAME) == b"one"

    @pytest.mark.parametrize("other", [b"two", b"on", b"one!", b""])
    def test_other_bytes_under_a_taken_name_are_refused_and_change_nothing(self, site: Site, other: bytes) -> None:
        site.put(NAME, b"one")
        with pytest.raises(ObjectExistsError):
            site.put(NAME, other)
        assert site.get(NAME) == b"one"
        assert list(site.list("")) == [(NAME, 3)]

    def test_replace_gives_the_new_bytes_to_a_reader_of_the_old(self, site: Site) -> None:
        site.replace("journal/checkpoint", b"old checkpoint")
        assert site.get("journal/checkpoint") == b"old checkpoint"
        site.replace("journal/checkpoint", b"new")
        assert site.get("journal/checkpoint") == b"new"
        assert site.digest("journal/checkpoint") == hashlib.sha256(b"new").digest()

    def test_an_absent_object_is_said_absent(self, site: Site) -> None:
        with pytest.raises(ObjectAbsentError):
            site.get(NAME)
        with pytest.raises(ObjectAbsentError):
            site.digest(NAME)
        assert list(site.list("packs/")) == []

    @pytest.mark.parametrize(("offset", "length"), [(0, 4), (2, 2), (4, 0), (4, None), (100, 1)])
    def test_a_range_beyond_the_end_is_an_error_never_less(self, site: Site, offset: int, length: int | None) -> None:
        site.put(NAME, b"one")
        with pytest.raises(ObjectTruncatedError):
            site.get(NAME, offset, length)

    def test_get_many_answers_each_alone_in_order(self, site: Site) -> None:
        site.put(NAME, b"0123456789")
        absent = "packs/0123456789abcdef/000000000002.pack"
        first, second, third, fourth = site.get_many([(NAME, 1, 2), (absent, 0, 1), (NAME, 8, 5), (NAME, 3, None)])
        assert first == b"12"
        assert isinstance(second, ObjectAbsentError)
        assert isinstance(third, ObjectTruncatedError)
        assert fourth == b"3456789"

    def test_list_gives_names_and_sizes_in_byte_order_by_any_prefix(self, site: Site) -> None:
        names = ["a-b/c", "a/b", "a/b-c/d", "a/b.p/1", "a/b/c", "a0", "b/a", "b/aa", "ba"]
        names.remove("a/b/c")  # a name is an object or a folder, not both
        for name in reversed(names):
            site.put(name, name.encode())
        assert list(site.list("")) == [(name, len(name)) for name in sorted(names)]
        for prefix in ("a", "a/", "a/b", "a/b.", "b/a", "b/aa", "c", "a/b-c/d", "a/b-c/de"):
            assert [name for name, _ in site.list(prefix)] == sorted(n for n in names if n.startswith(prefix)), prefix

    def test_delete_removes_and_may_be_said_twice(self, site: Site) -> None:
        site.put(NAME, b"one")
        assert site.get(NAME) == b"one"
        site.delete(NAME)
        site.delete(NAME)
        with pytest.raises(ObjectAbsentError):
            site.get(NAME)
        site.put(NAME, b"two")
        assert site.get(NAME) == b"two"

    def test_digest_is_of_the_bytes(self, site: Site) -> None:
        data = os.urandom(3_000_000)
        site.put(NAME, data)
        assert site.digest(NAME) == hashlib.sha256(data).digest()

    @pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
    def test_a_bad_name_is_refused_by_every_method(self, site: Site, name: str) -> None:
        for call in (
            lambda: site.put(name, b""),
            lambda: site.replace(name, b""),
            lambda: site.get(name),
            lambda: site.get_many([(name, 0, 0)])[0],
            lambda: site.delete(name),
            lambda: site.digest(name),
        ):
            with pytest.raises(ObjectNameError):
                _raise_if_error(call())
        assert list(site.list("")) == []

    @pytest.mark.parametrize("prefix", ["/", "../", "packs/../", ".t", "A", "packs//"])
    def test_a_bad_prefix_is_refused(self, site: Site, prefix: str) -> None:
        with pytest.raises(ObjectNameError):
            list(site.list(prefix))

    def test_of_many_writers_of_one_name_exactly_one_wins_and_the_object_is_whole(self, site: Site) -> None:
        contents = [bytes([number]) * 100_000 for number in range(8)]

        def put(data: bytes) -> bool:
            with suppress(ObjectExistsError):
                site.put(NAME, data)
                return True
            return False

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, contents))
        assert sum(won) == 1
        assert site.get(NAME) == contents[won.index(True)]

    def test_readers_see_old_or_new_whole_while_it_is_replaced(self, site: Site) -> None:
        versions = [bytes([number]) * 50_000 for number in range(20)]
        site.replace(NAME, versions[0])

        def read(_: int) -> bool:
            return site.get(NAME) in versions

        with ThreadPoolExecutor(4) as pool:
            reads = [pool.submit(read, number) for number in range(200)]
            for version in versions[1:]:
                site.replace(NAME, version)
            assert all(future.result() for future in reads)
        assert site.get(NAME) == versions[-1]

    def test_listings_at_once_each_give_everything(self, site: Site) -> None:
        names = [f"folder-{number:02d}/object" for number in range(30)]
        for name in names:
            site.put(name, b"one")

        def listed(_: int) -> bool:
            return [name for name, _ in site.list("")] == names

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(listed, range(800)))

    def test_a_big_object_passes(self, site: Site) -> None:
        data = os.urandom(1 << 20) * (BIG_BYTES >> 20)
        site.put(NAME, data)
        assert site.digest(NAME) == hashlib.sha256(data).digest()
        assert site.get(NAME, BIG_BYTES - 5, 5) == data[-5:]
        assert site.get(NAME) == data

    def test_check_passes_and_leaves_nothing(self, site: Site) -> None:
        site.check()
        assert list(site.list("")) == []

    def test_a_closed_site_opens_again(self, site: Site) -> None:
        site.put(NAME, b"one")
        site.close()
        assert site.get(NAME) == b"one"

    def test_what_one_instance_wrote_another_reads(self, site: Site, make_site: Callable[[], Site]) -> None:
        other = make_site()
        site.put(NAME, b"one")
        assert other.get(NAME) == b"one"

    def test_properties_and_place_are_told(self, site: Site) -> None:
        assert site.properties.failure_domain
        assert len(site.place.country) == 2
        assert isinstance(site.properties.durable, bool)
        assert isinstance(site.properties.locks, bool)


def _raise_if_error(answer: object) -> None:
    if isinstance(answer, Exception):
        raise answer
