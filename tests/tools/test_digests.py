"""Digests against the standard's own example, and what they depend on."""

from gncompanion.tools.digests import content_digest


def test_the_digest_begins_as_the_standards_example() -> None:
    assert content_digest("abc") == "ba7816bf8f01cfea"  # FIPS 180-4, SHA-256 of "abc"
    assert content_digest() == "e3b0c44298fc1c14"  # of nothing


def test_only_the_bytes_in_their_order_matter() -> None:
    assert content_digest("a", memoryview(b"bc")) == content_digest(b"abc")
    assert content_digest("ä") == content_digest("ä".encode())
    assert content_digest("ab") != content_digest("ba")
